"""Which format a path means, what a labeled file says of itself, and files that appear only when whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenreward.dataset.meta import META_KEY, meta_path
from tokenreward.errors import BadInput

if TYPE_CHECKING:
    from tokenreward.dataset.chunks import Sink, Source

COLUMNAR = (".parquet", ".arrow")
_LINES = (".jsonl", ".ndjson")


def source_of(path: Path, out: Path, split: str | None = None) -> Source:
    """The reader for an input path whose rows go to `out`. Raises BadInput."""
    if not path.exists():
        raise BadInput(f"{path}: no such file")
    if path.is_dir() or path.suffix in COLUMNAR:
        arrow = _arrow()
        opened: Source = arrow.open_source(path, split)
        return opened
    if split is not None:
        raise BadInput(f"{path}: a split is only for a dataset directory")
    if path.suffix not in _LINES:
        raise BadInput(f"{path}: labels .jsonl, .parquet, .arrow and dataset directories, not {path.suffix!r}")
    from tokenreward.dataset.jsonl import JsonlSource

    rows = JsonlSource(path)
    return _arrow().TypedSource(rows) if out.suffix in COLUMNAR else rows


def sink_of(out: Path, source: Source) -> Sink:
    """The writer for an output path, which must suit its source. Raises BadInput."""
    if source.suffix == ".jsonl" and out.suffix in _LINES:
        from tokenreward.dataset.jsonl import JsonlSink

        return JsonlSink()
    if source.suffix == ".arrow" and out.suffix in COLUMNAR:
        columnar: Sink = _arrow().ArrowSink()
        return columnar
    fitting = COLUMNAR if source.suffix == ".arrow" else (".jsonl", *COLUMNAR)
    raise BadInput(f"{out}: from this input the output is {' or '.join(fitting)}, not {out.suffix!r}")


def read_meta(path: str | Path) -> dict[str, Any] | None:
    """What a labeled file says of itself: `provenance` and more; None if it is no labeled file. Raises BadInput."""
    path = Path(path)
    if path.suffix in COLUMNAR:
        raw = _arrow().schema_of(path).metadata or {}
        content = raw.get(META_KEY)
    else:
        content = meta_path(path).read_bytes() if meta_path(path).exists() else None
    try:
        return None if content is None else dict(json.loads(content))
    except (ValueError, TypeError):
        raise BadInput(f"{path}: its tokenreward metadata cannot be read") from None


def _arrow() -> Any:
    try:
        from tokenreward.dataset import arrow
    except ModuleNotFoundError:
        raise BadInput("parquet, arrow and datasets need pyarrow; pip install 'tokenreward[files]'") from None
    return arrow


def read_labeled(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a labeled file. Raises BadInput."""
    if not path.exists():
        raise BadInput(f"{path}: no such file")
    if path.suffix in COLUMNAR:
        from tokenreward.dataset.arrow import read_rows

        yield from read_rows(path)
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise BadInput(f"{path}, line {number}: not JSON ({error})") from None
                if not isinstance(row, dict):
                    raise BadInput(f"{path}, line {number}: not a JSON object")
                yield row
