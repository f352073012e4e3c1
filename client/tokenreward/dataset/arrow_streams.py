"""Streams of Arrow tables whose types change on the way, brought to the one schema that holds all of them.

A `datasets.IterableDataset` without features finds the types of each batch by itself: a column that is null in the
first one may hold objects in the next, and whole numbers may be followed by fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from tokenreward.dataset.arrow_tables import Tables
from tokenreward.errors import BadInput


class UniformTables:
    """Tables of one schema. Finding it takes one reading of the stream, and a second one if types do change."""

    def __init__(self, tables: Tables, where: Callable[[int], str]) -> None:
        """Take a stream.

        Args:
            tables: A function that yields tables of at most so many rows, the same every time.
            where: Names a row for a person.
        """
        self._tables = tables
        self._where = where
        self._schema: pa.Schema | None = None

    def __call__(self, rows: int) -> Iterator[pa.Table]:
        """Yield tables of at most `rows` rows, all of one schema.

        Raises:
            BadInput: No one schema holds every row. The message names the row and the column.
        """
        if self._schema is None:
            self._schema = self._fitting(rows)
        first = 0
        for table in self._tables(rows):
            yield self._cast(table, self._schema, first)
            first += table.num_rows

    def _fitting(self, rows: int) -> pa.Schema:
        kinds: dict[str, pa.DataType] = {}
        changed, first = False, 0
        for table in self._tables(rows):
            seen = {field.name: field.type for field in table.schema}
            changed = changed or (first > 0 and seen != kinds)
            for name, kind in seen.items():
                kinds[name] = self._holding(kinds.get(name, kind), kind, name, first)
            first += table.num_rows
        schema = pa.schema(list(kinds.items()))
        first = 0
        for table in self._tables(rows) if changed else ():
            self._cast(table, schema, first)
            first += table.num_rows
        return schema

    def _holding(self, known: pa.DataType, kind: pa.DataType, name: str, first: int) -> pa.DataType:
        if known == kind:
            return known
        both = [pa.schema([("column", known)]), pa.schema([("column", kind)])]
        try:
            fitting = pa.unify_schemas(both, promote_options="permissive").field(0).type
        except pa.ArrowException:
            raise self._unfit(first, name, f"{kind} where the rows before have {known}, and no one type fits") from None
        if "binary" in str(fitting) and ("string" in str(known) or "string" in str(kind)):  # text is not bytes
            raise self._unfit(first, name, f"{kind} where the rows before have {known}")
        return fitting

    def _cast(self, table: pa.Table, schema: pa.Schema, first: int) -> pa.Table:
        columns = []
        for field in schema:
            if field.name not in table.column_names:
                columns.append(pa.nulls(table.num_rows, field.type))
                continue
            try:
                columns.append(table[field.name].cast(field.type))
            except pa.ArrowException as error:
                raise self._unfit(first, field.name, f"not to be had as {field.type} ({error})") from None
        return pa.table(columns, schema=schema)

    def _unfit(self, first: int, name: str, why: str) -> BadInput:
        return BadInput(f"{self._where(first)} and the rows after it, column {name!a}: {why}")
