"""What a file holds, by its name, and reading it as bytes, decompressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from tokenreward.dataset.inputs.compression import COMPRESSIONS, decompressing

Format = Literal["lines", "array", "csv", "tsv", "parquet", "arrow"]

_FORMATS: dict[str, Format] = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "array",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
#: The suffixes of files that hold typed columns.
COLUMNAR = (".parquet", ".arrow")


@dataclass(frozen=True)
class FileKind:
    """What a file holds.

    Attributes:
        format: The format of its rows.
        compressed: Whether it is compressed as a whole, by gzip or zstd.
    """

    format: Format
    compressed: bool

    @property
    def columnar(self) -> bool:
        """Whether it is an Arrow table."""
        return self.format in {"parquet", "arrow"}


def kind_of(path: Path) -> FileKind | None:
    """Return what a file of this name holds, or None if the name does not say."""
    compressed = path.suffix in COMPRESSIONS
    suffix = Path(path.stem).suffix if compressed else path.suffix
    found = _FORMATS.get(suffix)
    return None if found is None or (compressed and suffix in COLUMNAR) else FileKind(found, compressed)


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed. Raises BadInput if nothing here decompresses it."""
    return decompressing(path) if path.suffix in COMPRESSIONS else path.open("rb")
