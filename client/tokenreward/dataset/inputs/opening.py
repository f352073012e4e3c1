"""Opening whatever is to be labeled: a path, a data set of the hub, or data in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenreward.dataset.base import Source
from tokenreward.dataset.formats import arrow_source_for, source_of
from tokenreward.dataset.inputs.hub_names import is_hub_name
from tokenreward.dataset.inputs.layout_search import layout_in
from tokenreward.dataset.inputs.renamed_source import RenamedSource
from tokenreward.dataset.inputs.split_source import SplitSource
from tokenreward.dataset.row_layout import Layout
from tokenreward.errors import BadInput
from tokenreward.extras import needs
from tokenreward.schema import Score


def target_of(data: Any, out: str | Path | None) -> Path:
    """Return where the labeled rows of `data` go.

    Raises:
        BadInput: No output is named for a file, it is the input itself, or its folder is not there.
    """
    if out is None and isinstance(data, str | Path):
        raise BadInput("a file needs a path for its output")
    target = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="tokenreward-")) / "labeled.arrow"
    if isinstance(data, str | Path) and target.exists() and Path(data).resolve() == target.resolve():
        raise BadInput(f"{target}: the output would replace the input")
    if not target.parent.is_dir():
        raise BadInput(f"{target.parent}: no such directory")
    return target


def opened_source(
    data: Any,
    target: Path,
    *,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    score: Score = "last",
    name: str | None = None,
) -> tuple[Source, Layout]:
    """Open an input, and find out how its rows are read.

    Args:
        data: A path, a data set's name on the hub, or data in memory.
        target: Where the labeled rows will go.
        split: Which split of data with several.
        columns: Columns under other names, see `renamed_source`.
        limit: At most so many rows are read.
        score: Which turns of a conversation are scored.
        name: What messages call the input. None means its path.

    Returns:
        The source, in which a row with a list of responses is as many rows, and the layout of its rows.

    Raises:
        BadInput: It cannot be opened, or its rows have no layout that is known.
    """
    source = _source(data, target, split, limit, name)
    if columns:
        source = RenamedSource(source, columns)
    layout = layout_in(source, score)
    return (SplitSource(source, layout.sides[0]) if layout.shape.listed else source), layout


def _source(data: Any, target: Path, split: str | None, limit: int | None, name: str | None) -> Source:
    if not isinstance(data, str | Path):
        with needs("files", "data in memory"):
            from tokenreward.dataset.inputs.frames import memory_source
        return arrow_source_for(memory_source(data, split), target, limit)
    if not Path(data).exists() and is_hub_name(str(data)):
        with needs("files", f"{data} is no file; the hub"):
            from tokenreward.dataset.inputs.hub import hub_source
        return arrow_source_for(hub_source(str(data), split), target, limit)
    return source_of(Path(data), target, split, limit, name)
