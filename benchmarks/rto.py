"""Does RTO raise a reward that a program can check? Three seeds on a CPU, in minutes: `make rto`.

    python benchmarks/rto.py [--seeds 3] [--iterations 40] [--source dpo]

A tiny model is trained by SFT on answers of which half are wrong (`_rto_start`). Its own responses are ranked by their
check, and DPO on the pairs gives the policy whose log-ratio is RTO's dense reward. RTO then starts from the SFT model,
once a seed. Start and end are measured on the same held-out prompts, four samples each. Writes build/rto.json.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._report import ROOT, table, write
from benchmarks._rto_start import Row, start_policy
from tokenreward.checkpoint.loading import CAUSAL_LM
from tokenreward.checkpoint.loading import load_model as load_whole
from tokenreward_trainer.prompts import parts_of, prompt_rows, write_prompts
from tokenreward_trainer.ranking import Ranking, rank_file
from tokenreward_trainer.rto.rollouts import Sampler
from tokenreward_trainer.rto.run import run_rto
from tokenreward_trainer.rto.settings import Rollouts, rto_of
from tokenreward_trainer.sampling import Sampling, sample_file
from tokenreward_trainer.sampling.requests import Policy
from tokenreward_trainer.scorers import scorer_of
from tokenreward_trainer.training.run import train_run
from tokenreward_trainer.training.settings import run_of

Shares = NDArray[np.float64]

_SETS = ["arithmetic:1"]
_HELD_OUT = 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--source", default="dpo", choices=["dpo", "none"])
    parser.add_argument("--epochs", type=float, default=12)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "rto")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    started = time.monotonic()
    rows = prompt_rows(parts_of(_SETS), 800 + _HELD_OUT)
    train, held_out = rows[:800], rows[800:]
    start = start_policy(options.out, train, right=0.5, epochs=options.epochs)
    before = right_share(start, held_out)
    seconds = {"start": time.monotonic() - started}
    dpo = _dpo(options.out, start) if options.source == "dpo" else None
    seconds["dpo"] = time.monotonic() - started - seconds["start"]
    runs = [_rto(options, start, dpo, seed) for seed in range(options.seeds)]
    after = [right_share(run, held_out) for run in runs]
    gains = np.array([(row - before).mean() for row in after])
    errors = np.array([(row - before).std(ddof=1) / len(before) ** 0.5 for row in after])
    figures: dict[str, Any] = {
        "start_right": round(float(before.mean()), 4),
        "end_right": [round(float(row.mean()), 4) for row in after],
        "gain": [round(float(gain), 4) for gain in gains],
        "gain_95": [[round(float(end), 4) for end in ends] for ends in zip(*_interval(gains, errors), strict=True)],
        "mean_gain": round(float(gains.mean()), 4),
        "dpo_right": None if dpo is None else round(float(right_share(dpo, held_out).mean()), 4),
        "held_out_prompts": len(held_out),
        "iterations": options.iterations,
        "source": options.source,
        "seconds": round(time.monotonic() - started, 1),
        **{f"{name}_seconds": round(value, 1) for name, value in seconds.items()},
    }
    table("rto", figures.items())
    write("rto", figures)


def right_share(model: Path, rows: list[Row]) -> Shares:
    """The share of right ones among four samples of each prompt, `[prompts]`."""
    settings = Rollouts(n=4, max_tokens=24, rows=150)
    loaded = load_whole(CAUSAL_LM, model, str(model), dtype="float32").eval()
    sampler = Sampler(loaded, Policy.load(str(model)), settings, scorer_of("verify"), model)
    scores = [rollout.score for rollout in sampler.sample(rows, seed=10_000)]
    return np.array(scores).reshape(len(rows), 4).mean(1)


def _interval(gains: Shares, errors: Shares) -> tuple[Shares, Shares]:
    """Of each seed, both ends of the 95% interval of its gain over prompts."""
    return gains - 1.96 * errors, gains + 1.96 * errors


def _dpo(out: Path, start: Path) -> Path:
    prompts, samples, pairs = (out / f"{name}.jsonl" for name in ("prompts", "samples", "pairs"))
    write_prompts(prompts, parts_of(_SETS), 300)
    sampling = Sampling(n=4, temperature=1.0, top_p=1.0, max_tokens=24, dtype="float32", rows=128)
    sample_file(prompts, samples, str(start), sampling)
    rank_file(samples, pairs, "verify", Ranking())
    train = {
        "method": "dpo",
        "beta": 0.1,
        "output_dir": str(out / "dpo"),
        "learning_rate": 2e-4,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 16,
        "forward_tokens": 4096,
        "reference_cache": str(out / "cache"),
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
    }
    data = {"train": str(pairs), "max_length": 256, "max_prompt_length": 200}
    train_run(run_of({"model": {"name": str(start), "dtype": "float32"}, "data": data, "train": train}))
    return out / "dpo"


def _rto(options: argparse.Namespace, start: Path, dpo: Path | None, seed: int) -> Path:
    content = {
        "run": {"directory": str(options.out / f"rto-{seed}")},
        "model": {"name": str(start), "dtype": "float32"},
        "prompts": {"sets": _SETS, "count": 800},
        "sample": {"n": 4, "max_tokens": 24, "rows": 64},
        "rewards": {"source": options.source, "kl": 0.02, **({} if dpo is None else {"dpo": str(dpo)})},
        "ppo": {
            "iterations": options.iterations,
            "prompts": 16,
            "minibatch": 32,
            "learning_rate": 3e-4,
            "value_learning_rate": 1e-2,
            "forward_tokens": 4096,
            "seed": seed,
            "use_cpu": True,
        },
    }
    run_rto(rto_of(content), progress=True)
    return options.out / f"rto-{seed}"


if __name__ == "__main__":
    main()
