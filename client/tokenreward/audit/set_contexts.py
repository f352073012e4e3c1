"""The context fields of a set's responses: out of the columns that hold them as objects, and out of named sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenreward.audit.sets import Context
from tokenreward.dataset.columns import prefix
from tokenreward.dataset.row_contexts import context_of, field_value
from tokenreward.dataset.row_layout import Response
from tokenreward.errors import BadInput

_COLUMN = "context"
#: For both sides of a pair, and for one of them.
_COLUMNS = (_COLUMN, *(prefix(side) + _COLUMN for side in ("chosen", "rejected")))


@dataclass(frozen=True)
class SetContexts:
    """Where the context fields of one file come from.

    Attributes:
        columns: Its columns that hold context fields as an object.
        sources: The source of each further field, see `dataset.row_contexts`.
    """

    columns: frozenset[str]
    sources: Mapping[str, str]

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]], sources: Mapping[str, str]) -> SetContexts:
        """Return the contexts of a file. A column `context` that never holds an object is none of ours.

        Args:
            rows: All rows of the file.
            sources: The source of each further field.
        """
        found = {name for row in rows for name in _COLUMNS if isinstance(row.get(name), Mapping)}
        return cls(frozenset(found), sources)

    def of(self, row: Mapping[str, Any], response: Response, responses: Sequence[Response], where: str) -> Context:
        """Return the context fields of one response. What is said of its side alone goes before what is said of both.

        Args:
            row: Its row.
            response: The response.
            responses: All responses of the row.
            where: How a person finds the row.

        Raises:
            BadInput: A column does not hold context fields.
        """
        found: dict[str, Any] = {}
        for column in dict.fromkeys((_COLUMN, prefix(response.side) + _COLUMN)):
            value = row.get(column)
            if column not in self.columns or value is None:
                continue
            if not isinstance(value, Mapping):
                raise BadInput(f"{where}, field {column!r}: {value!r:.60} is not an object of context fields")
            found |= {name: field_value(value, name, f"{where}, field {column!r}") for name in value}
        return found | context_of(row, response, self.sources, where, responses)
