"""The judged tokens of a set, one after another, and the baselines: rewards that need no label."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.measures.ranks import Flags, Floats, Ints
from tokenreward.audit.tokens import BAD, LEFT_OUT

SURPRISAL, RANDOM, POSITION = "surprisal", "random", "position"


@dataclass(frozen=True)
class Tokens:
    """The `N` judged tokens of a set's responses, one after another.

    Attributes:
        bad: bool `[N]`, whether a token is wrong.
        response: int64 `[N]`, which response it is of, from 0.
        logprob: float64 `[N]`, log p(y_t | x, y_<t).
        place: float64 `[N]` in [0, 1), where in its response it stands.
        length: int64 `[N]`, the tokens of its response.
        responses: How many responses there are.
    """

    bad: Flags
    response: Ints
    logprob: Floats
    place: Floats
    length: Ints
    responses: int

    @property
    def surprisal(self) -> Floats:
        """The baseline as rewards: tanh((l_t - c) / 2) / 2, where c is the mean of l over the set."""
        centred: Floats = np.tanh((self.logprob - self.logprob.mean()) / 2) / 2
        return centred


def collect(judged: Sequence[NDArray[np.int8]], logprobs: Sequence[Floats]) -> Tokens:
    """Put the tokens of all responses together, from the judgement and the log-probs of all tokens of each."""
    sizes = [len(one) for one in judged]
    kept = np.concatenate([one != LEFT_OUT for one in judged]) if sizes else np.zeros(0, bool)
    response = np.repeat(np.arange(len(sizes)), sizes)[kept]
    place = np.concatenate([np.arange(n) / n for n in sizes])[kept]
    bad = (np.concatenate(list(judged)) == BAD)[kept]
    return Tokens(bad, response, np.concatenate(list(logprobs))[kept], place, np.repeat(sizes, sizes)[kept], len(sizes))


def baselines(tokens: Tokens, name: str, seed: int) -> dict[str, Floats]:
    """Return the rewards of the baselines: surprisal, chance, and that later tokens are worse."""
    chance = np.random.default_rng([seed, zlib.crc32(name.encode()), 1])
    return {
        SURPRISAL: tokens.surprisal,
        RANDOM: chance.uniform(-0.5, 0.5, len(tokens.bad)),
        POSITION: 0.5 - tokens.place,
    }
