"""A teacher's log-probs of a response's tokens, as `tokenreward label --include logprobs,top` keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenreward.dataset.columns import prefix
from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import TeacherScores

_LOGPS, _TOP = "token_logprobs", "token_top"
#: The branch that shows a model the bare question.
_PLAIN = "plain"


def teacher_scores(row: Mapping[str, Any], side: str, tokens: int, where: str) -> TeacherScores:
    """Reads one response's scores.

    Args:
        row: The labeled row.
        side: `chosen`, or anything else for a row with one response.
        tokens: How many tokens the response has.
        where: How a person finds the row.

    Raises:
        BadInput: There are none, they are of several prompts, or not one a token.
    """
    start = prefix(side)
    logps = _branch(row.get(start + _LOGPS), f"{where}, column {start + _LOGPS!r}")
    found = np.asarray(logps["logprobs"], dtype=np.float32)
    top = row.get(start + _TOP)
    scores = TeacherScores(found)
    if top:
        best = _branch(top, f"{where}, column {start + _TOP!r}")
        ids, values = np.array(best["ids"], dtype=np.int64), np.array(best["logprobs"], dtype=np.float32)
        if ids.ndim != 2 or ids.shape != values.shape:
            raise BadInput(f"{where}, column {start + _TOP!r}: not as many ids as log-probs at every token")
        scores = TeacherScores(found, ids, values)
    for name, length in ((_LOGPS, len(found)), (_TOP, tokens if scores.top_ids is None else len(scores.top_ids))):
        if length != tokens:
            raise BadInput(f"{where}: {start + name} is of {length} tokens, and the response has {tokens}")
    if not np.isfinite(found).all():
        raise BadInput(f"{where}: {start + _LOGPS} has a value that is not finite")
    return scores


def _branch(branches: Sequence[Mapping[str, Any]] | None, where: str) -> Mapping[str, Any]:
    """The one branch that there is, or the bare question's."""
    if not branches:
        raise BadInput(
            f"{where}: no log-probs of a teacher: label with its service, `tokenreward label --estimator surprisal "
            "--include logprobs`"
        )
    named = {str(one.get("branch")): one for one in branches}
    if len(named) > 1 and _PLAIN not in named:
        raise BadInput(
            f"{where}: log-probs under several prompts ({', '.join(named)}), none of them the bare question's"
        )
    return named.get(_PLAIN) or next(iter(named.values()))
