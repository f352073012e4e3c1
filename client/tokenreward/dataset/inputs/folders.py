"""Folders of data: what `datasets` saved to disk, and parquet files as the hub lays them out, by splits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from tokenreward.dataset.arrow_source import ArrowSource, dataset_source
from tokenreward.dataset.arrow_tables import parquet_tables, schema_of
from tokenreward.errors import BadInput
from tokenreward.extras import needs

#: `train-00000-of-00002`, with what some versions of the hub's tools put behind it.
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?$")
_NUMBER = re.compile(r"(?:part[-_.])?\d+$")


def folder_source(path: Path, split: str | None) -> ArrowSource:
    """Return a source over one split of a folder.

    Args:
        path: The folder.
        split: Which split. None means the only one.

    Raises:
        BadInput: The folder holds no data, or the split does not fit.
    """
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return dataset_source(_from_disk(path, split), str(path))
    found = parquet_splits(path)
    if not found:
        others = sorted(file.name for file in path.rglob("*.json*") if file.is_file())[:3]
        hint = f"; label its files one at a time: {', '.join(others)}" if others else ""
        raise BadInput(f"{path}: neither a folder that `save_to_disk` wrote nor one of parquet files{hint}")
    files = found[_choice(path, list(found), split)]
    schemas = [schema_of(file).remove_metadata() for file in files]
    return ArrowSource(
        str(path),
        lambda rows: chain.from_iterable(_tables(file, rows) for file in files),
        changing=any(schema != schemas[0] for schema in schemas),
    )


def parquet_splits(path: Path) -> dict[str, list[Path]]:
    """Return the parquet files below a folder, in order, by the name of their split.

    A shard such as `train-00000-of-00002.parquet` is of the split that it is named for; a file that is only numbered
    is of the one that its folder is named for; folders above that are configurations, and belong to the name.
    """
    splits: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(path.rglob("*.parquet")):
        folders = [name for name in file.parent.relative_to(path).parts if name != "data"]
        shard = _SHARD.fullmatch(file.stem)
        name = shard[1] if shard else file.stem
        if not shard and _NUMBER.fullmatch(name):
            name = folders.pop() if folders else "train"
        splits["/".join([*(folder for folder in folders if folder != "default"), name])].append(file)
    return dict(splits)


def _choice(path: Path, splits: Sequence[str], split: str | None) -> str:
    if split in splits:
        return str(split)
    if split is None and len(splits) == 1:
        return splits[0]
    wrong = "" if split is None else f" and none called {split!r}"
    raise BadInput(f"{path} has the splits {', '.join(splits)}{wrong}; choose one with --split")


def _tables(file: Path, rows: int) -> Iterator[pa.Table]:
    # Shards differ in what `datasets` noted about them, never in what is read.
    return (table.replace_schema_metadata(None) for table in parquet_tables(file, rows))


def _from_disk(path: Path, split: str | None) -> Any:
    with needs("files", "a dataset directory"):
        import datasets
    try:
        found = datasets.load_from_disk(str(path))
    except (FileNotFoundError, ValueError) as error:
        raise BadInput(f"{path}: not a directory that `save_to_disk` wrote ({error})") from None
    if isinstance(found, datasets.DatasetDict):
        return found[_choice(path, list(found), split)]
    if split is not None:
        raise BadInput(f"{path} has no splits, so no {split!r}")
    return found
