"""A plan in words, for a terminal."""

from __future__ import annotations

from tokenreward_trainer.planning.check import Plan
from tokenreward_trainer.planning.workload import Workload
from tokenreward_trainer.training.settings import Hardware


def in_words(name: str, plan: Plan, hardware: Hardware) -> str:
    """Describes what a run needs.

    Args:
        name: The run's configuration, as the user calls it.
        plan: What is known of it.
        hardware: What it is meant for.
    """
    cards = "1 card" if hardware.cards == 1 else f"{hardware.cards} cards"
    of = "" if plan.card_gb is None else f" of {plan.card_gb:g} GB"
    lines = [f"{name} on {cards}{of}", f"  model    {plan.about}"]
    if plan.memory:
        lines.append(f"  memory   {sum(plan.memory.values()):.1f} GB a card in a training step, estimated:")
        lines += [f"             {part:26}{size:6.2f}" for part, size in plan.memory.items() if size >= 0.005]
    if plan.reference_gb:
        lines.append(f"           {plan.reference_gb:.1f} GB before that, for the reference's log-probs")
    lines += _reads(plan.workload)
    lines += [f"  warning  {warning}" for warning in plan.warnings]
    return "\n".join(lines)


def arithmetic(plan: Plan) -> str:
    """Writes a plan's memory as a sum, which every shipped configuration has in a comment."""
    parts = " + ".join(f"{name} {size:.1f}" for name, size in plan.memory.items() if size >= 0.05)
    before = f"; {plan.reference_gb:.1f} before that, for the reference's log-probs" if plan.reference_gb else ""
    return f"Memory of a card in GB: {parts} = {sum(plan.memory.values()):.1f}{before}."


def _reads(work: Workload | None) -> list[str]:
    if work is None:
        return ["  steps    unknown: the data are not there, and data.expected_pairs does not say how many pairs come"]
    known = "" if work.counted else " expected"
    most = "at most " if work.at_most else "about "
    return [
        f"  steps    {work.steps:,} ({work.pairs:,} pairs{known}, {work.batch} a step)",
        f"  tokens   {most}{work.tokens / 1e6:,.1f} million in training",
    ]
