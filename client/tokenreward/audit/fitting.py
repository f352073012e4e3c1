"""Which labels can be measured on a set: those whose context fields all of its items have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenreward.audit.plan import Label
from tokenreward.audit.sets import AuditSet, PairItem, SpanItem


@dataclass(frozen=True)
class LeftOut:
    """A label that is not measured on a set.

    Attributes:
        set: The set.
        label: The label's name.
        field: The context field that some item lacks.
        lacking: How many items lack a field.
        items: How many there are.
    """

    set: str
    label: str
    field: str
    lacking: int
    items: int

    @property
    def reason(self) -> str:
        """What is missing, in words."""
        return self.field if self.lacking == self.items else f"{self.field} in {self.lacking} of {self.items} items"


def fitting(found: AuditSet, labels: Sequence[Label]) -> tuple[list[Label], list[LeftOut]]:
    """Return the labels that are measured on a set, and those that are not.

    Labels are compared on the same items, so one item without the fields of a label leaves it out for the whole set.

    Args:
        found: The set.
        labels: The labels of the audit.
    """
    kept, left_out = [], []
    for label in labels:
        needs = label.reads_context or label.pool == "spans"
        lacked = [_lacked(item, label) for item in found.items] if needs else []
        missing = [field for field in lacked if field is not None]
        if missing:
            left_out.append(LeftOut(found.name, label.name, missing[0], len(missing), len(lacked)))
        else:
            kept.append(label)
    return kept, left_out


def _lacked(item: SpanItem | PairItem, label: Label) -> str | None:
    """Return the field, or the column of spans, that some response of an item lacks."""
    if label.pool == "spans" and not all(one.spans for one in item.responses):
        return "the column `spans` to pool over"
    return next((field for one in item.responses if (field := label.lacks(one.context)) is not None), None)
