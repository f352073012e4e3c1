"""What people marked as wrong in held-out responses, and whether a policy's own token rewards find it.

Rows of pairs hold the audit's spans as `chosen_bad_spans` and `rejected_bad_spans`, `[start, end]` in characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from tokenreward.dataset.formats import read_labeled
from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Mask, Pair, Values
from tokenreward_trainer.training.mixture import path_of
from tokenreward_trainer.training.settings import Run

_COLUMNS = ("chosen_bad_spans", "rejected_bad_spans")
#: Marked parts of a pair's two responses, in characters; None for a response that nobody looked at.
Spans = tuple[Sequence[Sequence[int]] | None, Sequence[Sequence[int]] | None]


@dataclass(frozen=True)
class Found:
    """How well learned token rewards find what people marked.

    Attributes:
        auroc: The chance that a marked token has a lower learned reward than one that is not marked, over all tokens.
        marked: Marked tokens.
        tokens: All tokens of responses that people looked at.
        responses: These responses.
    """

    auroc: float
    marked: int
    tokens: int
    responses: int


def spans_of(run: Run) -> dict[str, Spans]:
    """Reads the spans of the files that held-out pairs come from, by the pairs' ids; empty where there are none."""
    files = list(map(Path, run.data.eval_sets.values()))[:1] or [path_of(part) for part in run.data.parts]
    return {
        str(row.get("id", number)): (row.get(_COLUMNS[0]), row.get(_COLUMNS[1]))
        for file in files
        for number, row in enumerate(read_labeled(file))
        if any(row.get(column) is not None for column in _COLUMNS)
    }


def marked_tokens(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair], spans: Mapping[str, Spans]
) -> list[tuple[Mask | None, Mask | None]]:
    """Finds the tokens that spans lie on.

    Args:
        tokenizer: The policy's.
        pairs: Held-out pairs.
        spans: See `spans_of`.

    Returns:
        For each pair, bool `[T]` of the chosen and of the rejected response; None where nobody looked.

    Raises:
        BadInput: A span is not two numbers in order.
    """
    found: list[Any] = []
    for pair in pairs:
        sides = spans.get(pair.id, (None, None))
        responses = zip((pair.chosen, pair.rejected), sides, strict=True)
        found.append(tuple(None if side is None else _marked(tokenizer, ids, side, pair.id) for ids, side in responses))
    return found


def found_by(
    learned: Sequence[tuple[Values, Values]], marked: Sequence[tuple[Mask | None, Mask | None]]
) -> Found | None:
    """Measures how well learned token rewards find marked tokens; None where none, or all, are marked.

    Args:
        learned: Token rewards of the chosen and of the rejected response of each pair.
        marked: See `marked_tokens`.
    """
    both = [
        (x, m) for xs, ms in zip(learned, marked, strict=True) for x, m in zip(xs, ms, strict=True) if m is not None
    ]
    if not both:
        return None
    values, labels = (np.concatenate(each) for each in zip(*both, strict=True))
    if labels.all() or not labels.any():
        return None
    from sklearn.metrics import roc_auc_score

    return Found(float(roc_auc_score(labels, -values)), int(labels.sum()), len(labels), len(both))


def _marked(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], spans: Sequence[Sequence[int]], name: str) -> Mask:
    if not all(len(span) == 2 and 0 <= span[0] < span[1] for span in spans):
        raise BadInput(f"pair {name}: bad_spans are [start, end] in characters, and {list(spans)} are not")
    lengths = np.array([len(tokenizer.decode(ids[:count])) for count in range(len(ids) + 1)])
    starts, ends = lengths[:-1], lengths[1:]
    starts = np.minimum(starts, ends - 1)  # A token that ends a character of several tokens covers that character.
    marks = np.zeros(len(ids), dtype=np.bool_)
    for start, end in spans:
        marks |= (starts < end) & (ends > start)
    return marks
