"""JSON rows as Arrow tables of one schema, for a JSON Lines file that is labeled into a parquet or arrow file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tokenreward.dataset.base import Source
from tokenreward.dataset.row_layout import Layout
from tokenreward.errors import BadInput


class TypedSource:
    """JSON rows as Arrow tables, all of one schema.

    The schema is the narrowest that fits every row. Finding it takes one reading of all rows.
    """

    suffix = ".arrow"

    def __init__(self, rows: Source) -> None:
        self._rows = rows
        self._schema: pa.Schema | None = None

    def where(self, row: int) -> str:
        """See `Source.where`."""
        return self._rows.where(row)

    def layout(self) -> Layout:
        """See `Source.layout`."""
        return self._rows.layout()

    def batches(self, rows: int) -> Iterator[tuple[int, Sequence[Mapping[str, Any]], pa.Table]]:
        """See `Source.batches`. The payload is an Arrow table."""
        if self._schema is None:
            self._schema = self._inferred()
        for first, batch, payload in self._rows.batches(rows):
            yield first, batch, pa.Table.from_pylist(payload, schema=self._schema)

    def _inferred(self) -> pa.Schema:
        schema = pa.schema([])
        for first, _, payload in self._rows.batches(1024):
            try:
                names = dict.fromkeys(name for row in payload for name in row)
                seen = pa.schema([(name, pa.array([row.get(name) for row in payload]).type) for name in names])
                schema = pa.unify_schemas([schema, seen], promote_options="permissive")
            except pa.ArrowException as error:
                raise BadInput(f"{self._rows.where(first)} and the rows after it: no one type fits ({error})") from None
        return schema
