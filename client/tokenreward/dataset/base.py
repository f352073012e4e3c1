"""The interfaces of a format: a source reads rows, and a sink writes labeled ones.

A reader may rely on two things. A source is read from its beginning every time it is iterated, and its batches are
always cut alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tokenreward.dataset.row_layout import Layout


class Source(Protocol):
    """An input.

    Attributes:
        suffix: The suffix of the files that a suitable sink's `write` makes.
    """

    suffix: str

    def layout(self) -> Layout:
        """Return the layout that the first row shows.

        Raises:
            BadInput: There are no rows, or the first row has no layout.
        """

    def batches(self, rows: int, also: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Mapping[str, Any]], Any]]:
        """Yield batches of at most `rows` rows.

        Each batch is the number of its first row, its rows as mappings that hold `Layout.columns` and those of `also`
        that there are, and its payload. The payload is what `Sink.write` needs of these rows, and can be sliced by
        rows.

        Raises:
            BadInput: A row cannot be read.
        """

    def where(self, row: int) -> str:
        """Return the name by which a person finds that row, such as `file, line 12`."""


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
