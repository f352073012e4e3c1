"""The interfaces of a format: a source reads rows, and a sink writes labeled ones.

A reader may rely on two things. A source is read from its beginning every time it is iterated, and its batches are
always cut alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tokenreward.errors import BadInput


class Unreadable(BadInput):
    """One row of an input that cannot be read, although those after it can.

    Attributes:
        content: What stands in its place.
    """

    def __init__(self, message: str, content: Any) -> None:
        super().__init__(message)
        self.content = content


#: A row, or why it cannot be read.
Row = Mapping[str, Any] | Unreadable


class Source(Protocol):
    """An input.

    Attributes:
        suffix: The suffix of the files that a suitable sink's `write` makes.
    """

    suffix: str

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """Return the first rows, at most so many, with the name of every column.

        Columns that no layout reads may be null, but for those of `also`.

        Raises:
            BadInput: The input cannot be read.
        """

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Row], Any]]:
        """Yield batches of at most `rows` rows.

        Each batch is the number of its first row, its rows with at least those of `columns` that there are, and its
        payload. The payload is what `Sink.write` needs of these rows. Its length is theirs, and `payloads` can part it.

        Raises:
            BadInput: The input cannot be read on.
        """

    def where(self, row: int) -> str:
        """Return the name by which a person finds that row of the batch that was read last, as `file, line 12`."""


class Sink(Protocol):
    """An output format."""

    def check(self, payload: Any, out: Path) -> None:
        """Try whether rows of this kind can be written, and read again, before any of them is paid for.

        Args:
            payload: The source's payload of the first rows. Its types are those of all rows.
            out: Where the finished file will stand; its suffix names the format.

        Raises:
            BadInput: They cannot. The message names the column.
        """

    def write(self, path: Path, payload: Any, labels: dict[str, list[Any]]) -> None:
        """Write one labeled part.

        Args:
            path: Where the part goes.
            payload: The source's payload of its rows.
            labels: The columns that are added, one value for each row.
        """

    def assemble(self, parts: Sequence[Path], out: Path, meta: dict[str, Any]) -> None:
        """Write `out` from all parts, in order, with `meta` in the place that the format has for it."""
