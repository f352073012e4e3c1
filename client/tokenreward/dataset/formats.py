"""Which format a path means: how its rows are read, how labeled rows are written, and what a labeled file states.

`read_labeled` is how every part of the project reads labeled rows. pyarrow is imported only for the formats that need
it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.jsonl import JsonlSink, JsonlSource, json_rows
from tokenreward.dataset.meta import META_KEY, meta_path
from tokenreward.errors import BadInput

if TYPE_CHECKING:
    from tokenreward.dataset.base import Sink, Source

COLUMNAR = (".parquet", ".arrow")
_LINES = (".jsonl", ".ndjson")


def source_of(path: Path, out: Path, split: str | None = None) -> Source:
    """Return the reader for an input path.

    Args:
        path: A .jsonl, .parquet or .arrow file, or a dataset directory.
        out: Where the labeled rows will go, which decides the type of the reader's rows.
        split: Which split of a dataset directory.

    Raises:
        BadInput: There is no such file, or it is of another format.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file")
    if path.is_dir() or path.suffix in COLUMNAR:
        with _pyarrow_needed():
            from tokenreward.dataset.arrow_source import open_source

        return open_source(path, split)
    if split is not None:
        raise BadInput(f"{path}: a split is only for a dataset directory")
    if path.suffix not in _LINES:
        raise BadInput(f"{path}: labels .jsonl, .parquet, .arrow and dataset directories, not {path.suffix!r}")
    if out.suffix not in COLUMNAR:
        return JsonlSource(path)
    with _pyarrow_needed():
        from tokenreward.dataset.typed_rows import TypedSource

    return TypedSource(JsonlSource(path))


def sink_of(out: Path, source: Source) -> Sink:
    """Return the writer for an output path.

    Raises:
        BadInput: The output's format does not suit the source.
    """
    if source.suffix == ".jsonl" and out.suffix in _LINES:
        return JsonlSink()
    if source.suffix == ".arrow" and out.suffix in COLUMNAR:
        with _pyarrow_needed():
            from tokenreward.dataset.arrow_sink import ArrowSink

        return ArrowSink()
    fitting = COLUMNAR if source.suffix == ".arrow" else (".jsonl", *COLUMNAR)
    raise BadInput(f"{out}: from this input the output is {' or '.join(fitting)}, not {out.suffix!r}")


def read_meta(path: str | Path) -> dict[str, Any] | None:
    """Return what a labeled file states about itself: `provenance` and more.

    Returns:
        The metadata, or None if the file is not labeled.

    Raises:
        BadInput: The file or its metadata cannot be read.
    """
    path = Path(path)
    if path.suffix in COLUMNAR:
        with _pyarrow_needed():
            from tokenreward.dataset.arrow_tables import schema_of

        content = (schema_of(path).metadata or {}).get(META_KEY)
    else:
        content = meta_path(path).read_bytes() if meta_path(path).exists() else None
    try:
        return None if content is None else dict(json.loads(content))
    except (ValueError, TypeError):
        raise BadInput(f"{path}: its tokenreward metadata cannot be read") from None


def read_labeled(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a labeled file as they are, with every column.

    Raises:
        BadInput: The file cannot be read.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file")
    if path.suffix in COLUMNAR:
        with _pyarrow_needed():
            from tokenreward.dataset.arrow_tables import read_rows

        yield from read_rows(path)
    else:
        for _, row in json_rows(path):
            yield row


def numbered_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file as they are, each with the name by which a person finds it: `file, line 12`.

    Raises:
        BadInput: The file cannot be read.
    """
    if path.suffix in COLUMNAR:
        for number, row in enumerate(read_labeled(path)):
            yield f"{path}, row {number}", row
    else:
        for line, row in json_rows(path):
            yield f"{path}, line {line}", row


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that all have the same columns, as parquet."""
    with _pyarrow_needed():
        import pyarrow as pa
        import pyarrow.parquet as pq
    with replace(path) as file:
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), file)


@contextmanager
def _pyarrow_needed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError:
        raise BadInput("parquet, arrow and datasets need pyarrow; pip install 'tokenreward[files]'") from None
