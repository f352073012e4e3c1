"""Edits between a response and its revision (FIGA, arXiv 2311.04072). No model is asked.

With the context field `revised`, the response is what was revised: a token that the revision deletes or replaces gets
-1/2. With `original`, the response is the revision: a token that it adds or puts in place of another gets +1/2. Every
token that was kept gets 0.

FIGA's edit script is over tokens. Here it is over words and punctuation marks, so that it does not depend on where a
tokenizer cuts, and a token counts as edited where it shares a character with an edited word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from tokenreward.errors import BadInput
from tokenreward.estimators.base import Difference, Estimator, Evidence, as_it_is
from tokenreward.estimators.parameters import Parameters

_WORD = re.compile(r"\w+|[^\w\s]")
#: From this many words on, the comparison does not anchor on words that are everywhere: it would take minutes.
_MANY_WORDS = 2000


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    revised, original = evidence.context.get("revised"), evidence.context.get("original")
    if isinstance(revised, str) == isinstance(original, str):
        raise BadInput("estimator 'edit' needs the context field 'revised' or 'original', as text, and not both")
    value, other = (-0.5, revised) if isinstance(revised, str) else (0.5, original)
    changed = edited(evidence.text, str(other))
    return np.array([value if changed[a:b].any() else 0.0 for a, b in evidence.offsets], dtype=np.float64)


def edited(text: str, other: str) -> np.ndarray:
    """Return which characters of `text` are of words that `other` does not have in their place, bool `[len(text)]`."""
    own, theirs = _words(text), _words(other)
    few = len(own) + len(theirs) < _MANY_WORDS
    matcher = SequenceMatcher(None, [w for w, _ in own], [w for w, _ in theirs], autojunk=not few)
    changed = np.zeros(len(text), dtype=bool)
    for kind, first, last, _, _ in matcher.get_opcodes():
        if kind in ("delete", "replace"):
            for _, (start, end) in own[first:last]:
                changed[start:end] = True
    return changed


def _words(text: str) -> Sequence[tuple[str, tuple[int, int]]]:
    return [(found[0], found.span()) for found in _WORD.finditer(text)]


EDIT = Estimator(
    name="edit",
    branches=(),
    formula="-1/2 where `revised` deletes or replaces, +1/2 where the response adds to `original`, else 0",
    difference=_difference,
    transform=as_it_is,
    template="edit",
    source="FIGA, arXiv 2311.04072",
    fields=("revised", "original"),
)
