"""The audit's figures as the tables of docs/label-quality.md, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tokenreward.audit import builtin


def markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables: AUROC (among tokens at the same place) of every label on every set, pairs, and drift.

    Args:
        figures: Of build/audit.json.
    """
    sets = list(figures["auroc"])
    builtins = [name for name in sets if name in builtin.NAMES]
    others = [name for name in sets if name not in builtin.NAMES and name != "overall"]
    drifts = {name: by for name, by in figures["drift"].items() if name in others} or figures["drift"]
    parts = [
        (
            "Data: AUROC (same place), and the largest drift of good tokens on these sets",
            _spans(figures, others, drifts),
        ),
        ("Built-in sets: AUROC (same place)", _spans(figures, builtins, {})),
        ("Pooled over words: AUROC", _plain(figures.get("pooled", {}), [*others, *builtins])),
        ("Pooled over steps: AUROC", _plain(figures.get("pooled_steps", {}), [*others, *builtins])),
        ("Pairs: how often the mean prefers the better response (length-controlled)", _pairs(figures)),
    ]
    return "\n\n".join(f"{title}:\n\n" + "\n".join(rows) for title, rows in parts if rows)


def _spans(figures: Mapping[str, Any], sets: list[str], drifts: Mapping[str, Any]) -> list[str]:
    def cells(label: str) -> list[str]:
        both = [_both(figures["auroc"][name].get(label), figures["same_place"][name].get(label)) for name in sets]
        if not drifts:
            return both
        known = [by[label] for by in drifts.values() if by.get(label) is not None]
        return [*both, f"{max(known, key=abs):+.3f}" if known else "-"]

    return _table([*sets, *(["drift"] if drifts else [])], figures["auroc"], sets, cells)


def _plain(by_set: Mapping[str, Any], sets: list[str]) -> list[str]:
    sets = [name for name in sets if name in by_set]
    return _table(sets, by_set, sets, lambda label: [_value(by_set[name].get(label)) for name in sets])


def _pairs(figures: Mapping[str, Any]) -> list[str]:
    plain, controlled = figures["pairs"], figures["pairs_length_controlled"]

    def cells(label: str) -> list[str]:
        return [_both(plain[name].get(label), controlled[name].get(label), 2) for name in plain]

    return _table(list(plain), plain, list(plain), cells)


def _table(
    columns: list[str], by_set: Mapping[str, Any], sets: list[str], cells: Callable[[str], list[str]]
) -> list[str]:
    """Return a row for each label. Labels that rank tokens alike on every set share one, with the first one's drift."""
    rows: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    for label in _labels(by_set, sets):
        found = cells(label)
        rows.setdefault(tuple(found[: len(sets)]), ([], found))[0].append(label)
    if not rows:
        return []
    head = [_row(["label", *columns]), "|" + "---|" * (1 + len(columns))]
    return [*head, *(_row([", ".join(labels), *found]) for labels, found in rows.values())]


def _labels(by_set: Mapping[str, Any], sets: list[str]) -> list[str]:
    return list(dict.fromkeys(label for name in sets for label in by_set[name]))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _both(first: list[float | None] | None, second: list[float | None] | None, digits: int = 3) -> str:
    return "-" if first is None else f"{_value(first, digits)} ({_value(second, digits)})"


def _value(triple: list[float | None] | None, digits: int = 3) -> str:
    return "-" if triple is None or triple[0] is None else f"{triple[0]:.{digits}f}"
