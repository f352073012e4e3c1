"""Checkpoints: which one a killed run goes on from, and how all of them are removed when it is done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

#: The Trainer writes it into a checkpoint last.
_LAST_WRITTEN = "trainer_state.json"


def last_checkpoint(out: Path) -> Path | None:
    """Finds the latest whole checkpoint and removes those that a kill left unfinished.

    Args:
        out: The run's output directory.

    Returns:
        Its directory; None if there is none.
    """
    whole = {}
    for path in out.glob("checkpoint-*"):
        step = _step_of(path)
        if step is None:
            shutil.rmtree(path)
        else:
            whole[step] = path
    return whole[max(whole)] if whole else None


def is_whole(checkpoint: Path) -> bool:
    """Whether a directory is a checkpoint that was written to its end."""
    return _step_of(checkpoint) is not None


def remove_checkpoints(out: Path) -> None:
    """Removes all checkpoints of a run; one that a kill leaves half removed counts as unfinished."""
    for path in out.glob("checkpoint-*"):
        remove_checkpoint(path)


def remove_checkpoint(path: Path) -> None:
    """Removes one checkpoint, under the same rule."""
    (path / _LAST_WRITTEN).unlink(missing_ok=True)
    shutil.rmtree(path)


def _step_of(checkpoint: Path) -> int | None:
    """The step at which a checkpoint was written; None for one that is not whole."""
    try:
        return int(json.loads((checkpoint / _LAST_WRITTEN).read_bytes())["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
