"""How rows become items: the responses of their layout, with context fields and spans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenreward.dataset.columns import SPANS, prefix
from tokenreward.dataset.row_contexts import check_sources, columns_of, context_of
from tokenreward.dataset.row_layout import Layout
from tokenreward.errors import BadInput


@dataclass(frozen=True)
class RowItems:
    """What is read of the rows of one file.

    Attributes:
        layout: Where prompt and responses are.
        contexts: The source of each context field, see `row_contexts`.
        spans: Whether the responses' own segments are read, from the column `spans` (`chosen_spans`,
            `rejected_spans`).
    """

    layout: Layout
    contexts: Mapping[str, str] = field(default_factory=dict)
    spans: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        spans = [prefix(side) + SPANS for side in self.layout.sides] if self.spans else []
        return (*self.layout.columns, *columns_of(self.contexts), *spans)

    def check(self, row: Mapping[str, Any], where: str) -> None:
        """Check the first row.

        Raises:
            BadInput: A source is unknown, or its column is not there.
        """
        check_sources(self.contexts, row, where)
        for side in self.layout.sides if self.spans else ():
            if prefix(side) + SPANS not in row:
                raise BadInput(f"{where}: no column {prefix(side) + SPANS!r} with the spans to pool over")

    def of(self, row: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
        """Return the items of one row.

        Raises:
            BadInput: The row cannot be read.
        """
        items = []
        responses = self.layout.responses(row, where)
        for response in responses:
            item = response.item()
            if context := context_of(row, response, self.contexts, where, responses):
                item["context"] = context
            if self.spans and (spans := row.get(prefix(response.side) + SPANS)):
                item["spans"] = spans
            items.append(item)
        return items
