"""JSON rows as Arrow tables of one schema, for a JSON Lines file that is labeled into a parquet or arrow file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tokenreward.dataset.base import Row, Source, Unreadable
from tokenreward.errors import BadInput

#: What pyarrow raises for a value that has no type, or not the one that it should have.
_UNFIT = (pa.ArrowException, OverflowError, UnicodeEncodeError)


class TypedSource:
    """JSON rows as Arrow tables, all of one schema.

    The schema is the narrowest that holds every row as it is: a column of whole numbers and fractions becomes one of
    fractions, and objects get the keys of all rows. Finding it takes one reading of all rows. Rows that cannot be
    labeled have no say in it, and are `Unreadable`. Others that no one schema holds are an error.
    """

    suffix = ".arrow"

    def __init__(self, rows: Source, check: Callable[[Mapping[str, Any], str], object]) -> None:
        """Type a source's rows.

        Args:
            rows: The input.
            check: Raises BadInput for a row that cannot be labeled.
        """
        self._rows, self._check = rows, check
        self._schema: pa.Schema | None = None
        self._bad: dict[int, str] = {}  # why a row cannot be labeled, by its number

    def where(self, row: int) -> str:
        """See `Source.where`."""
        return self._rows.where(row)

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """See `Source.preview`."""
        return self._rows.preview(rows, also)

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Row], pa.Table]]:
        """See `Source.batches`. The payload is an Arrow table."""
        if self._schema is None:
            self._schema = self._inferred()
        for first, found, whole in self._rows.batches(rows):
            batch = [self._labelable(number, row) for number, row in enumerate(found, first)]
            payload = [{} if isinstance(row, Unreadable) else own for row, own in zip(batch, whole, strict=True)]
            try:
                table = pa.Table.from_pylist(payload, schema=self._schema)
            except _UNFIT as error:
                raise self._unlike(self._schema, first, payload, error) from None
            yield first, batch, table

    def _labelable(self, number: int, row: Row) -> Row:
        return Unreadable(self._bad[number], row) if number in self._bad else row

    def _inferred(self) -> pa.Schema:
        kinds: dict[str, pa.DataType] = {}
        for first, batch, whole in self._rows.batches(1024):
            self._note_bad(first, batch)
            payload = [{} if number in self._bad else row for number, row in enumerate(whole, first)]
            for name in dict.fromkeys(name for row in payload for name in row):
                values = [row.get(name) for row in payload]
                try:
                    name.encode()
                    kinds[name] = _holding(kinds.get(name), values)
                except _UNFIT as error:
                    raise self._mixed(name, kinds.get(name), first, values, error) from None
        return pa.schema(list(kinds.items()))

    def _note_bad(self, first: int, batch: Sequence[Row]) -> None:
        for number, row in enumerate(batch, first):
            try:
                if not isinstance(row, Unreadable):
                    self._check(row, self.where(number))
            except BadInput as error:
                self._bad[number] = str(error)

    def _mixed(self, name: str, kind: pa.DataType | None, first: int, values: list[Any], error: Exception) -> BadInput:
        """Return the error that names the first row whose value does not go with those before it."""
        for row, value in enumerate(values, first):
            try:
                kind = _holding(kind, [value])
            except _UNFIT as unfit:
                return _unfit(self._rows.where(row), name, kind, unfit)
        # Each goes with the kind of those before it, but the last kind does not hold all of them.
        unlike = [n for n, value in enumerate(values) if kind is not None and not _holds(kind, value)]
        return _unfit(self._rows.where(first + unlike[0] if unlike else first), name, kind, error)

    def _unlike(
        self, schema: pa.Schema, first: int, payload: Sequence[Mapping[str, Any]], error: Exception
    ) -> BadInput:
        """Return the error that names the first value that is not of its column's type."""
        for row, content in enumerate(payload, first):
            for column in schema:
                if not _holds(column.type, content.get(column.name)):
                    return _unfit(self._rows.where(row), column.name, column.type, error)
        return BadInput(f"{self._rows.where(first)} and the rows after it: no one type fits ({error})")


def _holding(known: pa.DataType | None, values: list[Any]) -> pa.DataType:
    """Return the narrowest type of these values and those that `known` holds. Raises one of _UNFIT."""
    kind = pa.array(values).type
    if known is None or kind == known:
        return kind
    both = [pa.schema([("column", known)]), pa.schema([("column", kind)])]
    return pa.unify_schemas(both, promote_options="permissive").field(0).type


def _holds(kind: pa.DataType, value: Any) -> bool:
    try:
        pa.array([value], type=kind)
    except _UNFIT:
        return False
    return True


def _unfit(where: str, name: str, kind: pa.DataType | None, error: Exception) -> BadInput:
    if isinstance(error, OverflowError):
        why = "a whole number beyond 64 bits with their sign, for which parquet and arrow have no type; .jsonl keeps it"
    elif isinstance(error, UnicodeEncodeError):
        why = "half a surrogate pair, which parquet and arrow cannot hold; .jsonl keeps it"
    elif kind is None or pa.types.is_null(kind):
        why = f"no one type holds its values ({error}); .jsonl keeps them"
    else:
        why = f"no one type holds it and the values before it, which are {kind} ({error}); .jsonl keeps them"
    return BadInput(f"{where}, column {name!a}: {why}")
