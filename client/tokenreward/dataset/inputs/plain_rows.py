"""Rows of Arrow tables as JSON rows, for an output of JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from tokenreward.dataset.arrow_tables import pylist
from tokenreward.dataset.base import Row, Source
from tokenreward.errors import BadInput


class PlainRows:
    """A source of Arrow tables, with a list of rows in place of each table."""

    suffix = ".jsonl"

    def __init__(self, source: Source) -> None:
        self._source = source

    def where(self, row: int) -> str:
        """See `Source.where`."""
        return self._source.where(row)

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """See `Source.preview`."""
        return self._source.preview(rows, also)

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Row], Any]]:
        """See `Source.batches`. The payload is the rows with every column.

        Raises:
            BadInput: A value has no form in JSON. The message names its row and column.
        """
        for first, _, table in self._source.batches(rows):
            plain = pylist(table)
            for field in table.schema:
                if not _is_json(field.type):
                    self._check(field.name, plain, first)
            every: list[Row] = [*plain]
            yield first, every, every

    def _check(self, column: str, rows: Sequence[dict[str, Any]], first: int) -> None:
        for number, row in enumerate(rows, first):
            try:
                json.dumps(row[column])
            except (TypeError, ValueError) as error:
                raise BadInput(
                    f"{self.where(number)}, column {column!a}: JSON cannot hold the column ({error}); .parquet holds it"
                ) from None


def _is_json(kind: pa.DataType) -> bool:
    """Return whether every value of an Arrow type has a form in JSON."""
    if pa.types.is_dictionary(kind):
        return _is_json(kind.value_type)
    if pa.types.is_nested(kind):
        return all(_is_json(kind.field(place).type) for place in range(kind.num_fields))
    plain = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_null),
        *(pa.types.is_integer, pa.types.is_float32, pa.types.is_float64),
    )
    return any(is_it(kind) for is_it in plain)
