"""The rows of an input that cannot be labeled: listed in one error, or left out and written to `OUT.rejected.jsonl`."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

from tokenreward.dataset.atomic import replace
from tokenreward.errors import BadInput

#: How many of them an error lists.
_LISTED = 10


class BadRows:
    """The bad rows of one reading. Use it in a `with` statement, which removes what it keeps.

    Attributes:
        count: How many there are.
    """

    def __init__(self) -> None:
        self.count = 0
        self._listed: list[str] = []
        self._kept: IO[bytes] = tempfile.SpooledTemporaryFile(1 << 20)  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> BadRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def add(self, where: str, error: BadInput, row: Any) -> None:
        """Note a bad row.

        Args:
            where: How a person finds it.
            error: What is wrong with it.
            row: Its content, or what stands in its place.
        """
        self.count += 1
        if len(self._listed) < _LISTED:
            self._listed.append(str(error))
        reason = str(error).removeprefix(where).lstrip(":, ")
        noted = {"where": where, "reason": reason, "row": row}
        self._kept.write(json.dumps(noted, ensure_ascii=True, default=str).encode() + b"\n")

    def refuse(self, rows: int) -> None:
        """Refuse the input if there are any.

        Args:
            rows: How many rows the input has.

        Raises:
            BadInput: There are bad rows. The first ones are listed.
        """
        if not self.count:
            return
        if self.count == rows == 1:
            raise BadInput(self._listed[0])
        more = [f"... and {self.count - _LISTED} more"] if self.count > _LISTED else []
        raise BadInput(
            "\n  ".join([f"{self.count} of {rows} rows cannot be labeled, and nothing was sent:", *self._listed, *more])
            + "\n--skip-invalid labels the others, and writes these to OUT.rejected.jsonl with their reasons"
        )

    def refuse_if_all(self, rows: int) -> None:
        """Refuse the input if no row is left. Raises BadInput with the first reason."""
        if self.count == rows:
            raise BadInput(f"none of the {rows} rows can be labeled; the first: {self._listed[0]}")

    def save(self, path: Path) -> None:
        """Write all of them as JSON Lines, each with its place and its reason. If there are none, remove the file."""
        if not self.count:
            path.unlink(missing_ok=True)
            return
        self._kept.seek(0)
        with replace(path) as file:
            shutil.copyfileobj(self._kept, file)


def rejected_path(out: Path) -> Path:
    """Return where the bad rows of an input are written."""
    return out.with_name(out.name + ".rejected.jsonl")
