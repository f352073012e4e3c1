"""An RTO run: sample, reward, estimate advantages, update, and again; a killed one goes on at its last checkpoint.

directory/             the trained model (or adapter) and tokenizer
directory/run.json     options, and the log of every iteration
directory/report.html  the same as a page
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

from tokenreward.errors import BadInput
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.prompts.section import rows_of
from tokenreward_trainer.rto.actor_critic import evaluated
from tokenreward_trainer.rto.assembly import Parts, assembled
from tokenreward_trainer.rto.experience import experiences
from tokenreward_trainer.rto.record import leave_record
from tokenreward_trainer.rto.rollouts import Row, Sampler
from tokenreward_trainer.rto.settings import RtoRun
from tokenreward_trainer.rto.state import RunState
from tokenreward_trainer.sampling.requests import Policy
from tokenreward_trainer.scorers import scorer_of


def run_rto(run: RtoRun, *, progress: bool = False) -> Path:
    """Trains the model of a run.

    Args:
        run: The settings.
        progress: Whether to print a line an iteration.

    Returns:
        The report's path.

    Raises:
        BadInput: Settings, prompts or models cannot be used.
    """
    # A training before this one in the same process has left its precision and its device.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision="bf16" if run.ppo.bf16 else "no", cpu=run.ppo.use_cpu)
    if accelerator.num_processes > 1:
        raise BadInput("RTO runs in one process: start it without accelerate launch or torchrun")
    _warn_of_other_distributions(run)
    set_seed(run.ppo.seed)
    folder = Path(run.run.directory)
    folder.mkdir(parents=True, exist_ok=True)
    rows, scorer = rows_of(run.prompts), scorer_of(run.rewards.scorer)
    if run.ppo.prompts > len(rows):
        raise BadInput(
            f"ppo.prompts = {run.ppo.prompts} an iteration is more than the {len(rows)} prompts that there are"
        )
    named = Policy.load(run.model.name)
    with ExitStack() as stack:
        parts = assembled(run, accelerator, stack)
        sampler = Sampler(parts.policy, named, run.sample, scorer, folder / "sampled-from")
        state = RunState(folder, accelerator, run.model_dump(exclude={"run"}))
        done, log = state.restore()
        for iteration in range(done, run.ppo.iterations):
            started = time.monotonic()
            entry = _iterate(run, parts, sampler, rows, iteration)
            log.append({"step": iteration + 1, **entry, "seconds": round(time.monotonic() - started, 3)})
            if progress:
                print(_line(log[-1], run.ppo.iterations), flush=True)
            if (iteration + 1) % run.ppo.save_every == 0 and iteration + 1 < run.ppo.iterations:
                state.save(iteration + 1, log)
        parts.policy.save_pretrained(folder)
        named.tokenizer.save_pretrained(folder)
        report = leave_record(folder, run, log, parts.collator.layout)
        state.remove()
    return report


def prompts_of(rows: Sequence[Row], count: int, seed: int, iteration: int) -> list[Row]:
    """Returns the prompts of one iteration: every pass over all of them is in another order.

    Args:
        rows: All prompts.
        count: Prompts an iteration, at most as many as there are.
        seed: Of the order.
        iteration: Its number, from 0.
    """
    orders: dict[int, Any] = {}
    found = []
    for place in range(iteration * count, (iteration + 1) * count):
        number, index = divmod(place, len(rows))
        if number not in orders:
            orders[number] = np.random.default_rng([seed, 1, number]).permutation(len(rows))
        found.append(rows[orders[number][index]])
    return found


def _iterate(run: RtoRun, parts: Parts, sampler: Sampler, rows: Sequence[Row], iteration: int) -> dict[str, float]:
    seed = run.ppo.seed * 1_000_003 + iteration
    rollouts = sampler.sample(prompts_of(rows, run.ppo.prompts, run.ppo.seed, iteration), seed)
    responses = [rollout.response for rollout in rollouts]
    with parts.updater.accelerator.autocast():  # As in the update, so that its first ratios are 1.
        scored = evaluated(parts.model, responses, parts.collator, parts.max_tokens)
        ref_logps = parts.reference_logps(responses)
        dense = parts.dense.of(rollouts, ref_logps)
    made, said = experiences(rollouts, scored, ref_logps, dense, run.rewards, run.ppo)
    return said | parts.updater.update(made, iteration)


def _warn_of_other_distributions(run: RtoRun) -> None:
    if (run.sample.temperature, run.sample.top_p) != (1.0, 1.0):
        warnings.warn(
            f"sample.temperature = {run.sample.temperature:g} and top_p = {run.sample.top_p:g} sample from another "
            "distribution than the policy that is trained: 1 and 1 are on-policy",
            DoubtfulOption,
            stacklevel=3,
        )


def _line(entry: dict[str, float], iterations: int) -> str:
    shown = ", ".join(f"{name} {entry[name]:.3g}" for name in ("score", "kl", "tokens", "loss/policy", "loss/value"))
    return f"[{entry['step']}/{iterations}] {shown} ({entry['seconds']:.1f} s)"
