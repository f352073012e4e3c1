"""`--columns NAME=COLUMN`: columns of the input under the names that rows are read by, in the labeled file too.

A column that had the name before keeps its content as `NAME_before`. `NAME=` gives the name to no column, so that the
one that had it is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from tokenreward.dataset.base import Row, Source, Unreadable
from tokenreward.dataset.payloads import renamed, with_names
from tokenreward.dataset.shapes.suggestions import nearest
from tokenreward.errors import BadInput


class RenamedSource:
    """A source whose columns have other names."""

    def __init__(self, source: Source, columns: Mapping[str, str]) -> None:
        """Rename columns.

        Args:
            source: The input.
            columns: New name -> the column, or an empty text for none.

        Raises:
            BadInput: There is no such column.
        """
        self.suffix = source.suffix
        self._source = source
        self._new = _new_names(columns, source)
        self._old = {new: old for old, new in self._new.items()}

    def where(self, row: int) -> str:
        """See `Source.where`."""
        return self._source.where(row)

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """See `Source.preview`."""
        found = self._source.preview(rows, [*self._new, *self._before(also)])
        return [row if isinstance(row, Unreadable) else renamed(row, self._new) for row in found]

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Row], Any]]:
        """See `Source.batches`."""
        for first, batch, payload in self._source.batches(rows, self._before(columns)):
            found = [row if isinstance(row, Unreadable) else renamed(row, self._new) for row in batch]
            yield first, found, with_names(payload, self._new)

    def _before(self, columns: Sequence[str]) -> list[str]:
        return [self._old.get(name, name) for name in columns]


def _new_names(columns: Mapping[str, str], source: Source) -> dict[str, str]:
    """Return the new name of each column that gets one."""
    names = {name for row in source.preview(64) if not isinstance(row, Unreadable) for name in row}
    missing = next((column for column in columns.values() if column and column not in names), None)
    if missing is not None:
        raise BadInput(
            f"--columns: no column {missing!r} among {', '.join(map(repr, sorted(names)))}{nearest(missing, names)}"
        )
    new = {column: name for name, column in columns.items() if column and column != name}
    freed = {name: _free(name, names) for name in columns if name in names and name not in columns.values()}
    return freed | new


def _free(name: str, taken: Set[str]) -> str:
    """Return a name for a column that gives up its own."""
    while name in taken:
        name += "_before"
    return name
