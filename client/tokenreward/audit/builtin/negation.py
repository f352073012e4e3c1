"""A negation inserted: one `not` or `never` turns a true statement of an answer into a false one."""

from __future__ import annotations

from tokenreward.audit.builtin.base import Twin, material, twin


def twins() -> list[Twin]:
    """Return answers with one negation inserted."""
    items = material("negation")["items"]
    return [twin(f"negation-{number:02}", item["prompt"], item["text"]) for number, item in enumerate(items)]
