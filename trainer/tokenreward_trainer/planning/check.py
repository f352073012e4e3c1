"""`tokenreward train --check`: what a run will need, and everything that would be refused, without loading a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from tokenreward.errors import BadInput
from tokenreward_trainer.planning.demand import demand_of, sharding_of
from tokenreward_trainer.planning.memory import GB, memory_of, reference_pass
from tokenreward_trainer.planning.model_shape import ModelShape, shape_of
from tokenreward_trainer.planning.workload import Workload, workload_of
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.run_checks import check_file, checks_of
from tokenreward_trainer.training.settings import Run
from tokenreward_trainer.training.trainings import arguments_of, trainings_of

#: Options that decide where a run goes, and not what it needs. One process that only checks cannot have them.
_PLACES = ("fsdp", "fsdp_config", "deepspeed")
#: A card that is fuller than this will fail at some batch: the arithmetic is an estimate.
_FULL = 0.97


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a run before it starts.

    Attributes:
        memory: Gigabytes of a card by part in a training step; empty where the model's shape is not known.
        reference_gb: Gigabytes of a card while the reference's log-probs are computed; 0 where they are not.
        card_gb: The card's memory; None where neither the run nor the machine says it.
        workload: Its pairs, steps and tokens; None where they are not known.
        about: The model in words.
        warnings: What is likely to fail or rarely meant.
        refusals: What would be refused here and now.
    """

    memory: dict[str, float]
    reference_gb: float
    card_gb: float | None
    workload: Workload | None
    about: str
    warnings: list[str]
    refusals: list[str]

    @property
    def memory_gb(self) -> float:
        """The memory that a card needs at the worst moment of the run."""
        return max(sum(self.memory.values()), self.reference_gb)


def plan_of(run: Run) -> Plan:
    """Plans a run.

    Args:
        run: Its settings.

    Raises:
        BadInput: Options of [train] have values that nobody takes, so that nothing can be said.
    """
    train = {name: value for name, value in run.train.items() if name not in _PLACES} | {"use_cpu": True}
    on_paper = run.model_copy(update={"train": train})
    arguments = arguments_of(on_paper)
    refusals = list(_refusals(run, on_paper, arguments))
    memory, reference = dict[str, float](), 0.0
    about, card = run.model.name, run.hardware.memory_gb or _card_here()
    known = _shape(run, refusals)
    if known is not None:
        shape, source = known
        demand = demand_of(run, arguments, shape)
        memory = {name: size / GB for name, size in memory_of(demand, card or 80).items()}
        reference = reference_pass(demand) / GB if arguments.reference_mode == "precompute" else 0.0
        about += f" by {source}: {shape.weights / 1e9:.2f} billion weights, {_count(demand.trained)} trained"
    workload = workload_of(run, arguments, run.hardware.cards)
    needed = max(sum(memory.values()), reference)
    warnings = [] if card is None else list(_warnings(run, needed, card))
    return Plan(memory, reference, card, workload, about, warnings, refusals)


def _shape(run: Run, refusals: list[str]) -> tuple[ModelShape, str] | None:
    """The model's shape and where it comes from; None where that is refused, which is added to the refusals."""
    if any(refusal.startswith("model.name") for refusal in refusals):
        return None
    try:
        return shape_of(run.model.name)
    except BadInput as error:
        refusals.append(str(error))
        return None


def _refusals(run: Run, on_paper: Run, arguments: PreferenceConfig) -> Iterator[str]:
    """Everything that a run would be refused for, not only the first of it."""
    checks: list[Callable[[], Any]] = [lambda: trainings_of(on_paper, arguments), *checks_of(run, arguments)]
    for check in checks:
        try:
            check()
        except BadInput as error:
            yield str(error)
    if all(part.hub is None and Path(part.file).exists() for part in run.data.parts):
        try:
            check_file(run)
        except BadInput as error:
            yield str(error)
    if arguments.bf16 and not run.train.get("use_cpu") and not _card_has_bfloat16():
        yield "train.bf16 = true: no GPU here computes in bfloat16; --train.use_cpu true would train on the CPU"
    if run.train.get("deepspeed") and find_spec("deepspeed") is None:
        yield "train.deepspeed needs DeepSpeed, which is not installed: pip install deepspeed"
    if run.hardware.cards > 1 and run.hardware.cards > torch.cuda.device_count():
        yield f"hardware.cards = {run.hardware.cards}, and here are {torch.cuda.device_count()} GPUs"


def _warnings(run: Run, needed: float, card: float) -> Iterator[str]:
    if needed > _FULL * card:
        yield (
            f"will not fit: {needed:.1f} GB of {card:g}. Smaller: train.forward_tokens or the batch of a sharded run, "
            "data.max_length, lora.r; model.quantization = 'nf4'; train.gradient_checkpointing = true; more cards with "
            "train.fsdp = true"
        )
    if run.hardware.cards > 1 and sharding_of(run) == "none" and not run.lora.r:
        yield f"each of {run.hardware.cards} cards holds the whole model: train.fsdp = true shards it"


def _card_here() -> float | None:
    if not torch.cuda.is_available():
        return None
    return float(torch.cuda.get_device_properties(0).total_memory / GB)


def _card_has_bfloat16() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


def _count(weights: int) -> str:
    return f"{weights / 1e9:.2f} billion" if weights >= 1e9 else f"{weights / 1e6:.1f} million"
