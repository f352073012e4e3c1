"""The tables of docs/models.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from benchmarks.model_zoo.architectures import named
from benchmarks.model_zoo.engine_judge import Judged

if TYPE_CHECKING:
    from benchmarks.model_zoo.chat_judge import FamilyJudged


def architectures(engine: str, judged: Sequence[Judged]) -> str:
    """By kind of attention, what is right; then, by reason, what is not."""
    right: dict[str, list[str]] = {}
    others: dict[tuple[str, str], list[str]] = {}
    for one in judged:
        if one.verdict == "right":
            right.setdefault(named(one.name).kind, []).append(one.name)
        else:
            reason = one.reason or f"its log-probs are {one.apart:.2g} off"
            others.setdefault((one.verdict, reason.replace(one.name, "...")), []).append(one.name)
    most = max((one.apart or 0.0 for one in judged if one.verdict == "right"), default=0.0)
    found = [_table(("attention", f"right in engine `{engine}`"), ((kind, _names(right[kind])) for kind in right))]
    found.append(f"The log-probs of these are off by at most {most:.1g}.")
    if others:
        rows = ((_names(names), verdict, why) for (verdict, why), names in others.items())
        found.append(_table((f"not right in engine `{engine}`", "verdict", "why"), rows))
    return "\n\n".join(found)


def templates(judged: Sequence[FamilyJudged]) -> str:
    """One row for each family, one column for each conversation; then, by reason, what is not right."""
    columns = list(judged[0].reads)
    rows = [(one.name, one.verdict, *(one.reads[name].verdict for name in columns)) for one in judged]
    others: dict[tuple[str, str, str], list[str]] = {}
    for name in columns:
        for one in judged:
            read = one.reads[name]
            if read.verdict in ("refused", "wrong"):
                others.setdefault((name, read.verdict, read.reason), []).append(one.name)
    found = [_table(("chat template", "in all", *columns), rows)]
    if others:
        rows = [(name, verdict, why, "; ".join(names)) for (name, verdict, why), names in others.items()]
        found.append(_table(("conversation", "verdict", "why", "chat templates"), rows))
    return "\n\n".join(found)


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(map(_line, [head, ["---"] * len(head), *rows]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"
