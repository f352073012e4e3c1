"""`-` in place of a path: rows from stdin, and labeled rows to stdout.

A labeling run reads its input twice and writes its output at the end, so both go through a temporary folder.
"""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenreward.dataset.bad_rows import rejected_path
from tokenreward.dataset.inputs.file_kinds import kind_of
from tokenreward.errors import BadInput

_MAGIC = {b"PAR1": ".parquet", b"ARROW1": ".arrow", b"\xff\xff\xff\xff": ".arrow"}
_COMPRESSED = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}


@contextmanager
def streamed(given: str, out: str | None) -> Iterator[tuple[str, Path, str | None]]:
    """Yield the input, the output, and what messages call the input, with `-` replaced by temporary files.

    Args:
        given: The input that was asked for.
        out: The output that was asked for; None where nothing is written.

    Raises:
        BadInput: Nobody can say what stdin holds.
    """
    with tempfile.TemporaryDirectory(prefix="tokenreward-") as folder:
        data, name = (given, None) if given != "-" else (_stdin(Path(folder)), "stdin")
        if out not in {"-", None}:
            yield data, Path(str(out)), name
            return
        written = Path(folder) / ("labeled.jsonl" if out == "-" or _of_text(data) else "labeled.arrow")
        yield data, written, name
        if written.exists() and out == "-":
            with written.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        if out == "-" and rejected_path(written).exists():
            sys.stderr.write(rejected_path(written).read_text("utf-8"))


def _of_text(data: str) -> bool:
    kind = kind_of(Path(data))
    return kind is not None and not kind.columnar


def _stdin(folder: Path) -> str:
    """Copy stdin to a file whose name says what it holds."""
    spooled = folder / "spooled"
    with spooled.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    with spooled.open("rb") as file:
        head = file.read(4096)
    named = folder / f"stdin{_suffix(head, spooled)}"
    spooled.rename(named)
    return str(named)


def _suffix(head: bytes, path: Path) -> str:
    compressed = next((suffix for magic, suffix in _COMPRESSED.items() if head.startswith(magic)), "")
    if compressed == ".gz":
        with gzip.open(path) as file:
            head = file.read(4096)
    elif compressed:
        return ".json.zst"  # rows of JSON, one on each line or in an array
    binary = next((suffix for magic, suffix in _MAGIC.items() if head.startswith(magic)), None)
    if binary is not None and not compressed:
        return binary
    if not head.strip():
        raise BadInput("stdin: there are no rows")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        raise BadInput("stdin: neither JSON rows nor parquet nor Arrow; write other formats to a file, and name that")
    return f".json{compressed}"
