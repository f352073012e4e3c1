"""The tokens that people marked as wrong in held-out responses, and whether a policy's token rewards find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from tokenreward_trainer.data.pair import Mask, Pair, Spans, Values


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


def marked_tokens(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair]) -> list[tuple[Mask | None, Mask | None]]:
    """Finds the tokens that pairs' `bad_spans` lie on.

    Args:
        tokenizer: The policy's.
        pairs: Held-out pairs.

    Returns:
        For each pair, a bool for each token that counts of the chosen and of the rejected response; None where nobody
        looked.
    """

    def marks(pair: Pair, side: int) -> Mask | None:
        spans = pair.bad_spans[side]
        ids = (pair.chosen, pair.rejected)[side]
        return None if spans is None else _marked(tokenizer, ids, spans)[pair.counted[side]]

    return [(marks(pair, 0), marks(pair, 1)) for pair in pairs]


def found_by(
    learned: Sequence[tuple[Values, Values]], marked: Sequence[tuple[Mask | None, Mask | None]]
) -> Found | None:
    """Measures how well learned token rewards find marked tokens; None where none, or all, are marked.

    Args:
        learned: See `held_out.learned_of`.
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


def _marked(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], spans: Spans) -> Mask:
    lengths = np.array([len(tokenizer.decode(ids[:count])) for count in range(len(ids) + 1)])
    starts, ends = lengths[:-1], lengths[1:]
    starts = np.minimum(starts, ends - 1)  # A token that ends a character of several tokens covers that character.
    marks = np.zeros(len(ids), dtype=np.bool_)
    for start, end in spans:
        marks |= (starts < end) & (ends > start)
    return marks
