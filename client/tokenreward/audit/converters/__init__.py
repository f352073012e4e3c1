"""Sets of other people as sets of an audit. Users bring the files; each converter is a function from rows to rows.

What comes out is what `set_files` reads: `id`, `prompt`, `response`, `bad_spans`, `ignore_spans`, in characters, and
`task` where a set says of what kind a row's task is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.audit.converters import mqm, prm800k, processbench, ragtruth
from tokenreward.audit.converters.tab_separated import tab_separated_rows
from tokenreward.dataset.formats import numbered_rows
from tokenreward.errors import BadInput, UnknownName

Row = dict[str, Any]


@dataclass(frozen=True)
class Converter:
    """How one set is read.

    Attributes:
        files: What its files are, in the order in which they are given.
        convert: (rows with their places, of each file) -> rows of an audit.
        read: How a file becomes rows with their places.
    """

    files: tuple[str, ...]
    convert: Callable[..., Iterator[Row]]
    read: Callable[[Path], Iterable[tuple[str, Mapping[str, Any]]]] = numbered_rows


CONVERTERS: Mapping[str, Converter] = {
    "processbench": Converter(("gsm8k.jsonl, or another of its parts",), processbench.convert),
    "prm800k": Converter(("phase2_test.jsonl, or another of its parts",), prm800k.convert),
    "ragtruth": Converter(("response.jsonl", "source_info.jsonl"), ragtruth.convert),
    "mqm": Converter(("mqm_*.tsv",), mqm.convert, tab_separated_rows),
}


def converted(kind: str, paths: list[Path]) -> Iterator[Row]:
    """Yield the rows of an audit's set.

    Args:
        kind: One of CONVERTERS.
        paths: The files of the set.

    Raises:
        UnknownName: There is no such converter.
        BadInput: Files are missing, or one is not what it should be; the message names the file and line.
    """
    if kind not in CONVERTERS:
        raise UnknownName("set", kind, list(CONVERTERS))
    converter = CONVERTERS[kind]
    if len(paths) != len(converter.files):
        raise BadInput(f"{kind} needs {len(converter.files)} files: {', '.join(converter.files)}")
    for path in paths:
        if not path.is_file():
            raise BadInput(f"{path}: no such file")
    yield from converter.convert(*(converter.read(path) for path in paths))
