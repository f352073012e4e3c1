"""How rows become items: the responses of their layout, with context fields and spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenreward.dataset.columns import NAMED_IDS, SPANS, prefix
from tokenreward.dataset.response import Response
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
        named: Whether the ids to be named are read, from the column `named_ids` (`chosen_named_ids`,
            `rejected_named_ids`).
        candidates: About how many candidates each token of the results will have.
    """

    layout: Layout
    contexts: Mapping[str, str] = field(default_factory=dict)
    spans: bool = False
    named: bool = False
    candidates: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        own = [prefix(side) + name for side in self.layout.sides for name in self._own]
        return (*self.layout.columns, *columns_of(self.contexts), *own)

    @property
    def _own(self) -> Sequence[str]:
        """Fields of an item that stand in a column of the same name, behind its side's prefix."""
        return [*([SPANS] if self.spans else []), *([NAMED_IDS] if self.named else [])]

    def check(self, row: Mapping[str, Any], where: str) -> None:
        """Check the first row.

        Raises:
            BadInput: A source is unknown, or its column is not there.
        """
        check_sources(self.contexts, row, where)
        for name in (prefix(side) + name for side in self.layout.sides for name in self._own):
            if name not in row:
                use = "spans to pool over" if name.endswith(SPANS) else "ids whose log-probs are wanted"
                raise BadInput(f"{where}: no column {name!r} with the {use}")

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
            for name in self._own:
                if value := row.get(prefix(response.side) + name):
                    item[name] = _moved(value, response) if name == SPANS else value
            items.append(item)
        return items


def _moved(spans: Any, response: Response) -> Any:
    """Return spans of the row's own text as spans of the response. What is no such span is left to the item's check."""
    if response.left_out == (0, 0) or not isinstance(spans, list):
        return spans
    if not all(_is_span(span, response.own_length) for span in spans):
        return spans
    return [list(moved) for start, end in spans if (moved := response.moved(start, end)) is not None]


def _is_span(span: Any, length: int) -> bool:
    numbers = isinstance(span, list | tuple) and len(span) == 2 and all(type(number) is int for number in span)
    return numbers and 0 <= span[0] < span[1] <= length
