"""Which format a path means: how its rows are read, how labeled rows are written, and what a labeled file states.

`read_labeled` is how every part of the project reads labeled rows. pyarrow is imported only for the formats that need
it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.base import Unreadable
from tokenreward.dataset.inputs.file_kinds import COLUMNAR, FileKind, kind_of
from tokenreward.dataset.inputs.json_array import json_file_rows
from tokenreward.dataset.inputs.limited_source import LimitedSource
from tokenreward.dataset.inputs.separated import separated_rows
from tokenreward.dataset.inputs.similar_files import no_such_file
from tokenreward.dataset.jsonl import JsonlSink, JsonlSource, RowsSource
from tokenreward.dataset.meta import META_KEY, meta_path
from tokenreward.errors import BadInput
from tokenreward.extras import needs

if TYPE_CHECKING:
    from tokenreward.dataset.arrow_source import ArrowSource
    from tokenreward.dataset.base import Sink, Source

READ = ".jsonl, .json, .csv, .tsv (also .gz and .zst), .parquet, .arrow, folders of parquet and dataset directories"
#: What output may be named for an input of text, and for one of Arrow tables.
_WRITTEN = ".jsonl (also .gz and .zst), .parquet or .arrow"
_ARROW = "parquet, arrow and datasets: reading them"


def source_of(
    path: Path, out: Path, split: str | None = None, limit: int | None = None, name: str | None = None
) -> Source:
    """Return the reader for an input path.

    Args:
        path: A file or a folder.
        out: Where the labeled rows will go, which decides whether a table's rows stay in tables.
        split: Which split of a folder with several.
        limit: At most so many rows are read.
        name: What messages call the input. None means its path.

    Raises:
        BadInput: There is no such file, or it is of another format.
    """
    kind = kind_of(path)
    if not path.exists():
        raise no_such_file(path)
    if path.is_dir() or (kind is not None and kind.columnar):
        with needs("files", _ARROW):
            tables = _tables(path, split, name or str(path))
        return arrow_source_for(tables, out, limit)
    if split is not None:
        raise BadInput(f"{path}: a split is only for a folder or a data set of the hub")
    if kind is None:
        raise BadInput(f"{path}: labels {READ}, not {path.suffix!r}")
    return _limited(_text_rows(path, kind, name or str(path)), limit)


def typed_for(out: Path, source: Source, check: Callable[[Mapping[str, Any], str], object]) -> Source:
    """Return a source whose rows have the types that an output needs: Arrow tables for one of columns.

    Args:
        out: Where the labeled rows will go.
        source: The input.
        check: Raises BadInput for a row that cannot be labeled; it is called with the row and its place.
    """
    if source.suffix != ".jsonl" or out.suffix not in COLUMNAR:
        return source
    with needs("files", _ARROW):
        from tokenreward.dataset.typed_rows import TypedSource

    return TypedSource(source, check)


def arrow_source_for(tables: ArrowSource, out: Path, limit: int | None = None) -> Source:
    """Return a source over Arrow tables that suits an output: of tables, or of JSON rows for JSON Lines."""
    if out.suffix in COLUMNAR:
        return _limited(tables, limit)
    from tokenreward.dataset.inputs.plain_rows import PlainRows

    return PlainRows(_limited(tables, limit))


def sink_of(out: Path, source: Source) -> Sink:
    """Return the writer for an output path.

    Raises:
        BadInput: Labeled rows cannot be written in that format.
    """
    kind = kind_of(out)
    if source.suffix == ".jsonl" and kind is not None and kind.format == "lines":
        return JsonlSink()
    if source.suffix == ".arrow" and out.suffix in COLUMNAR:
        with needs("files", _ARROW):
            from tokenreward.dataset.arrow_sink import ArrowSink

        return ArrowSink()
    raise BadInput(f"{out}: the output is {_WRITTEN}, not {out.suffix!r}")


def read_meta(path: str | Path) -> dict[str, Any] | None:
    """Return what a labeled file states about itself: `provenance` and more.

    Returns:
        The metadata, or None if the file is not labeled.

    Raises:
        BadInput: The file or its metadata cannot be read.
    """
    path = Path(path)
    if path.suffix in COLUMNAR:
        with needs("files", _ARROW):
            from tokenreward.dataset.arrow_tables import schema_of

        content = (schema_of(path).metadata or {}).get(META_KEY)
    else:
        content = meta_path(path).read_bytes() if meta_path(path).exists() else None
    try:
        return None if content is None else dict(json.loads(content))
    except (ValueError, TypeError):
        raise BadInput(f"{path}: its tokenreward metadata cannot be read") from None


def read_labeled(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file as they are, with every column. Raises BadInput if it cannot be read."""
    return (row for _, row in numbered_rows(path))


def numbered_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file as they are, with every column, each with the name by which a person finds it.

    Raises:
        BadInput: The file cannot be read.
    """
    if not path.exists():
        raise no_such_file(path)
    kind = kind_of(path)
    if kind is not None and kind.columnar:
        with needs("files", _ARROW):
            from tokenreward.dataset.arrow_tables import read_rows

        yield from ((f"{path}, row {number}", row) for number, row in enumerate(read_rows(path)))
        return
    rows = _text_rows(path, kind or FileKind("lines", compressed=False), str(path))
    for first, batch, _ in rows.batches(64):
        for number, row in enumerate(batch, first):
            if isinstance(row, Unreadable):
                raise row
            yield rows.where(number), dict(row)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that all have the same columns, as parquet."""
    with needs("files", "writing parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    with replace(path) as file:
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), file)


def _tables(path: Path, split: str | None, name: str) -> ArrowSource:
    from tokenreward.dataset.arrow_source import table_file
    from tokenreward.dataset.inputs.folders import folder_source

    if path.is_dir():
        return folder_source(path, split)
    if split is not None:
        raise BadInput(f"{path}: a split is only for a folder or a data set of the hub")
    return table_file(path, name)


def _text_rows(path: Path, kind: FileKind, name: str) -> RowsSource:
    if kind.format == "array":
        return RowsSource(name, lambda: json_file_rows(path, name))
    if kind.format in {"csv", "tsv"}:
        return RowsSource(name, lambda: separated_rows(path, "," if kind.format == "csv" else "\t", name))
    return JsonlSource(path, name)


def _limited(source: Source, limit: int | None) -> Source:
    return source if limit is None else LimitedSource(source, limit)
