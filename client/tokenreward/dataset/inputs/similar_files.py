"""What is said of an input that is not there: which file of its folder may be meant."""

from __future__ import annotations

import difflib
from pathlib import Path

from tokenreward.errors import BadInput


def no_such_file(path: Path) -> BadInput:
    """Return the error for a path where nothing is."""
    if not path.parent.is_dir():
        return BadInput(f"{path}: no such file; there is no folder {path.parent} either")
    there = [found.name for found in path.parent.iterdir()]
    close = difflib.get_close_matches(path.name, there, 1)
    return BadInput(f"{path}: no such file" + (f" (did you mean {path.with_name(close[0])}?)" if close else ""))
