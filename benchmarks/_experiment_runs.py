"""One run of the experiment: a row trained with one seed, its answers to the test prompts, and where its learned token
rewards point. Each step is a process of its own, and what is finished is not done again."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._experiment_data import labeled_file, served_contrast
from benchmarks._experiment_plan import SURPRISAL, Plan, Run
from tokenreward.audit.measures.ranks import auroc
from tokenreward.audit.tokens import BAD, LEFT_OUT, judged
from tokenreward.child_process import die_with
from tokenreward.dataset.atomic import replace
from tokenreward_trainer.resumable.segments import read_rows
from tokenreward_trainer.sampling.sample_file import sample_file
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.scorers.verify import verified

_RESULT = "result.json"
#: Of one forward pass.
_MAX_TOKENS = 4096

Floats = np.ndarray[Any, np.dtype[np.float64]]


def folder_of(out: Path, run: Run) -> Path:
    return out / "runs" / run.name / str(run.seed)


def recall(out: Path, runs: Iterable[Mapping[str, Any]]) -> None:
    """Keeps the results of runs that another folder, or another machine, has finished."""
    for run in runs:
        path = out / "runs" / run["row"] / str(run["seed"]) / _RESULT
        if not path.exists():
            _save(path, run)


def finished(out: Path, run: Run) -> dict[str, Any] | None:
    """What a former call found."""
    try:
        content: dict[str, Any] = json.loads((folder_of(out, run) / _RESULT).read_bytes())
    except FileNotFoundError:
        return None
    return content


def has_policy(out: Path, run: Run) -> bool:
    """Whether the run was trained and its weights are still there."""
    folder = folder_of(out, run)
    return (folder / "trained.json").exists() and (folder / "model").exists()


def train(plan: Plan, model: str, out: Path, run: Run) -> None:
    """Trains the policy, unless it is there. What was measured of one that was thrown away stays."""
    folder, started = folder_of(out, run), time.monotonic()
    if has_policy(out, run):
        return
    for left in folder.glob("*"):  # Half a policy, or the answers of one thrown away.
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name != _RESULT:
            left.unlink()
    _apart(_train, plan, model, out, run)
    _save(folder / "trained.json", {"seconds": time.monotonic() - started})


def do(plan: Plan, model: str, out: Path, run: Run, keep: bool) -> dict[str, Any]:
    """Trains, answers, measures. keep: the weights too, which other rows may need."""
    folder = folder_of(out, run)
    policy, measured, seconds = model, {}, {}
    if run.row.trained:
        train(plan, model, out, run)
        policy = str(folder / "model")
        seconds["train"] = json.loads((folder / "trained.json").read_bytes())["seconds"]
        measured = _apart(_measure, plan, model, out, run)
    answering = time.monotonic()
    # In the precision that was trained: rounded to bfloat16, much of a step of 1e-5 would be gone.
    settings = Sampling(**plan.sample, n=1, temperature=0.0, dtype="float32", segment=plan.prompts.test)
    folder.mkdir(parents=True, exist_ok=True)
    sample_file(out / "test.jsonl", folder / "answers.jsonl", policy, settings, progress=True)
    seconds["answers"] = time.monotonic() - answering
    answers = read_rows(folder / "answers.jsonl")
    found = {
        "row": run.name,
        "seed": run.seed,
        "plan": plan.identity,
        "labels": plan.identity_of_labels(run.row),
        "right": "".join(str(int(_right(answer))) for answer in answers),
        "tokens": float(np.mean([len(answer["responses"][0]["token_ids"]) for answer in answers])),
        "finished": float(np.mean([answer["responses"][0]["finished"] for answer in answers])),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        **measured,
    }
    _save(folder / _RESULT, found)
    if not keep:
        shutil.rmtree(folder / "model", ignore_errors=True)
    return found


def _right(answer: Mapping[str, Any]) -> bool:
    return verified(answer["responses"][0]["text"], answer["check"], str(answer["id"])) == 1


def _apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """In a process of its own, which ends with this one, and whose memory is free again afterwards."""
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=die_with, initargs=(os.getpid(),))
    with pool:
        return pool.submit(work, *arguments).result()


def _train(plan: Plan, model: str, out: Path, run: Run) -> None:
    if run.row.rto:
        from tokenreward_trainer.rto.run import run_rto
        from tokenreward_trainer.rto.settings import rto_of

        run_rto(rto_of(rto_settings_of(plan, model, out, run)), progress=True)
        return
    from tokenreward_trainer.training.run import train_run
    from tokenreward_trainer.training.settings import run_of

    train_run(run_of(settings_of(plan, model, out, run)))


def rto_settings_of(plan: Plan, model: str, out: Path, run: Run) -> dict[str, Any]:
    """The run as `tokenreward rto` reads it."""
    dense = Run(str(run.row.labels), plan.rows[str(run.row.labels)], run.seed)
    return {
        "run": {"directory": str(folder_of(out, run) / "model")},
        "model": {"name": model, "dtype": "float32"},
        "prompts": {"file": str(out / "data" / str(run.seed) / "prompts.jsonl")},
        "sample": run.row.rto["sample"],
        "rewards": {"dpo": str(folder_of(out, dense) / "model")} | run.row.rto["rewards"],
        "ppo": run.row.rto["ppo"] | {"seed": run.seed},
    }


def settings_of(plan: Plan, model: str, out: Path, run: Run) -> dict[str, Any]:
    """The run as `tokenreward train` reads it."""
    kind = run.row.labels
    labels: dict[str, Any] = {}
    if kind == SURPRISAL:
        labels = {"source": "surprisal"}
    # Where a row has no labels of its own, some are there for the metrics, and no loss reads them.
    file = labeled_file(out, run.seed, kind if kind in plan.labels else next(iter(plan.labels)))
    if kind in plan.rows:
        strong = folder_of(out, Run(kind, plan.rows[kind], run.seed)) / "model"
        if plan.contrast == "service":
            file = served_contrast(plan, model, out, run.seed, kind, strong)
        else:
            labels = {"source": "contrast", "strong": str(strong), "weak": model}
    own = {"output_dir": str(folder_of(out, run) / "model"), "seed": run.seed, "disable_tqdm": True}
    return {
        "model": {"name": model, "dtype": "float32"},
        "data": plan.data | {"train": str(file)},
        "labels": labels,
        "train": plan.train | run.row.train | own,
    }


def _measure(plan: Plan, model: str, out: Path, run: Run) -> dict[str, Any]:
    """Learned token rewards, log pi / pi_ref, of held-out pairs against every kind of labels, and on known errors."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tokenreward_trainer.data.labeled_pairs import load_pairs
    from tokenreward_trainer.model.layout_check import choose_layout
    from tokenreward_trainer.model.scorable import make_scorable
    from tokenreward_trainer.training.model_labels import surprisal_labels
    from tokenreward_trainer.training.pair_scoring import score_pairs
    from tokenreward_trainer.training.reference_logps import reference_logps

    tokenizer = AutoTokenizer.from_pretrained(model)
    limits = {name: plan.data[name] for name in ("max_length", "max_prompt_length")}
    kinds = {kind: load_pairs(labeled_file(out, run.seed, kind), tokenizer, **limits).pairs for kind in plan.labels}
    everything = next(iter(kinds.values()))
    count = round(len(everything) * plan.data["eval_share"])  # As `tokenreward train` splits it.
    audited = load_pairs(out / "audit-labeled.jsonl", tokenizer)
    # Of a twin only the corrupted response counts; a pair must have two.
    twins = [
        dataclasses.replace(twin, chosen=twin.chosen[:1], chosen_token_rewards=None, rejected_token_rewards=None)
        for twin in audited.pairs
    ]
    paths = (model, folder_of(out, run) / "model")
    models = [AutoModelForCausalLM.from_pretrained(path, dtype="float32").requires_grad_(False) for path in paths]
    held_out = everything[len(everything) - count :]
    start, policy = models
    for loaded in models:
        make_scorable(loaded)
    layout = choose_layout(start, "auto")[0]

    def before(pairs: list[Any]) -> list[Any]:
        """Under the start, once for all rows."""
        return reference_logps(start, pairs, layout=layout, max_tokens=_MAX_TOKENS, cache=out / "reference")

    scored = [*before(held_out), *before(twins)]
    trained = [
        logps
        for part in (held_out, twins)
        for logps in score_pairs(policy, part, layout=layout, max_tokens=_MAX_TOKENS)
    ]
    labels = {kind: pairs[len(pairs) - count :] for kind, pairs in kinds.items()}
    labels[SURPRISAL] = surprisal_labels(held_out, start)
    learned = [
        [new - old for new, old in zip(after, first, strict=True)] for first, after in zip(scored, trained, strict=True)
    ]
    flat = np.concatenate([side for pair in learned[:count] for side in pair])
    rewards = {kind: np.concatenate([_rewards(pair) for pair in pairs]) for kind, pairs in labels.items()}
    # Of a partial kind, no held-out response may have labels.
    agreement = {kind: float(np.corrcoef(flat, found)[0, 1]) for kind, found in rewards.items() if found.any()}
    log = json.loads((folder_of(out, run) / "model" / "run.json").read_bytes())["log"]
    logged = {key: value for entry in log for key, value in entry.items()}
    names = ("eval_rewards/margins", "eval_rewards/accuracies", "weight", "train_runtime")
    return {
        "pairs": len(everything) - count,
        "held_out": count,
        "agreement": agreement,
        "moved": float(np.abs(flat).mean()),
        "kept_in_bfloat16": _kept_in_bfloat16(start, policy),
        "span_auroc": _span_auroc(out, [rejected for _, rejected in learned[count:]]),
        **{name.rpartition("/")[2]: logged[name] for name in names if name in logged},
    }


def _kept_in_bfloat16(start: Any, policy: Any) -> float:
    """How far weights have moved once both models are rounded to bfloat16, of how far they have moved."""
    moved = rounded = 0.0
    for before, after in zip(start.parameters(), policy.parameters(), strict=True):
        moved += float((after - before).abs().sum())
        rounded += float((after.bfloat16().float() - before.bfloat16().float()).abs().sum())
    return rounded / moved


def _rewards(pair: Any) -> Floats:
    return np.concatenate([pair.chosen_token_rewards, pair.rejected_token_rewards])


def _span_auroc(out: Path, learned: list[Floats]) -> float:
    """How often a token of a known error has a lower learned reward than another token, over all built-in responses."""
    rows = read_rows(out / "audit-labeled.jsonl")
    offsets = [np.asarray(row["rejected_token_offsets"], dtype=np.int64).reshape(-1, 2) for row in rows]
    marks = np.concatenate([judged(o, row["bad_spans"], ()) for o, row in zip(offsets, rows, strict=True)])
    kept = marks != LEFT_OUT
    return auroc(-np.concatenate(learned).astype(np.float64)[kept], marks[kept] == BAD)


def _save(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace(path) as file:
        file.write(json.dumps(content, indent=1).encode())
