"""Edits: a text, and a better one that keeps most of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenreward.estimators.edit import edited


@dataclass(frozen=True)
class Edit:
    """A response with something wrong, and the same response put right.

    Attributes:
        prompt: Text or messages.
        worse: The response with something wrong.
        better: What became of it.
    """

    prompt: str | list[dict[str, Any]]
    worse: str
    better: str

    @property
    def kept(self) -> float:
        """The share of both texts that the edit leaves as it is."""
        changed = int(edited(self.worse, self.better).sum() + edited(self.better, self.worse).sum())
        return 1 - changed / max(1, len(self.worse) + len(self.better))


def data_hash(edits: Sequence[Edit]) -> str:
    """Return the SHA-256 of all edits in their order, by which a labeler says what it has learned from."""
    found = hashlib.sha256()
    for edit in edits:
        found.update(json.dumps(asdict(edit), sort_keys=True).encode() + b"\n")
    return found.hexdigest()
