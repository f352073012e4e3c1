"""The judged tokens of a set, one after another, and the baselines: rewards that need no label."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.measures.ranks import Flags, Floats, Ints
from tokenreward.audit.measures.surroundings import Surroundings
from tokenreward.audit.tokens import BAD, LEFT_OUT

SURPRISAL, RANDOM, POSITION, STEP_LENGTH, LENGTH = "surprisal", "random", "position", "step_length", "length"
#: The names of the baselines. No label may have one of them.
BASELINES = (SURPRISAL, RANDOM, POSITION, STEP_LENGTH, LENGTH)
#: Parts of a response within which tokens stand at the same place.
PLACES = 10
#: With fewer responses of a task than these, on average, it is no kind of task but the name of a few rows.
_FEWEST_OF_TASK = 10


@dataclass(frozen=True)
class Tokens:
    """The `N` judged tokens of a set's responses, one after another.

    Attributes:
        bad: bool `[N]`, whether a token is wrong.
        response: int64 `[N]`, which response it is of, from 0.
        logprob: float64 `[N]`, log p(y_t | x, y_<t).
        place: float64 `[N]` in [0, 1), where in its response it stands.
        length: int64 `[N]`, the tokens of its response.
        step: int64 `[N]`, the number of its step, from 0.
        step_length: int64 `[N]`, the tokens of its step.
        kind: int64 `[N]`, an index into `surroundings.KINDS`.
        responses: How many responses there are.
        stepped: Whether most of them have several steps.
        task: int64 `[N]`, the number of its response's kind of task, from 0. None where the set has not several.
    """

    bad: Flags
    response: Ints
    logprob: Floats
    place: Floats
    length: Ints
    step: Ints
    step_length: Ints
    kind: Ints
    responses: int
    stepped: bool
    task: Ints | None = None

    @property
    def surprisal(self) -> Floats:
        """The baseline as rewards: tanh((l_t - c) / 2) / 2, where c is the mean of l over the set."""
        centred: Floats = np.tanh((self.logprob - self.logprob.mean()) / 2) / 2
        return centred

    @property
    def tenth(self) -> Ints:
        """int64 `[N]`: the tenth of its response that a token stands in."""
        return (self.place * PLACES).astype(np.int64)

    def responses_with(self, chosen: Flags) -> int:
        """Return how many responses have one of the chosen tokens, bool `[N]`."""
        return len(np.unique(self.response[chosen]))


def collect(
    judged: Sequence[NDArray[np.int8]],
    logprobs: Sequence[Floats],
    around: Sequence[Surroundings] | None = None,
    tasks: Sequence[str] = (),
) -> Tokens:
    """Put the tokens of all responses together.

    Args:
        judged: int8 `[T]` of each response, see `audit.tokens`.
        logprobs: float64 `[T]` of each.
        around: What stands around the tokens of each. Without it, every response is one step of one kind.
        tasks: The task of each. Without them, all are of one.
    """
    around = around or [Surroundings.unknown(len(one)) for one in judged]
    sizes = [len(one) for one in judged]
    task = _numbered(tasks)
    kept = np.concatenate([one != LEFT_OUT for one in judged]) if sizes else np.zeros(0, bool)
    return Tokens(
        bad=(np.concatenate(list(judged)) == BAD)[kept],
        response=np.repeat(np.arange(len(sizes)), sizes)[kept],
        logprob=np.concatenate(list(logprobs))[kept],
        place=np.concatenate([np.arange(n) / n for n in sizes])[kept],
        length=np.repeat(sizes, sizes)[kept],
        step=np.concatenate([one.step for one in around])[kept],
        step_length=np.concatenate([one.step_length for one in around])[kept],
        kind=np.concatenate([one.kind for one in around])[kept],
        responses=len(sizes),
        stepped=2 * sum(one.steps > 1 for one in around) > len(sizes),
        task=None if task is None else np.repeat(task, sizes)[kept],
    )


def _numbered(tasks: Sequence[str]) -> Ints | None:
    """Return the number of each response's task, or None unless there are several, of enough responses each."""
    names, numbers = np.unique(list(tasks), return_inverse=True)
    if len(names) < 2 or len(tasks) < _FEWEST_OF_TASK * len(names):
        return None
    return numbers.astype(np.int64)


def baselines(tokens: Tokens, name: str, seed: int) -> dict[str, Floats]:
    """Return the rewards of the baselines: surprisal, chance, and that later or longer is worse."""
    chance = np.random.default_rng([seed, zlib.crc32(name.encode()), 1])
    return {
        SURPRISAL: tokens.surprisal,
        RANDOM: chance.uniform(-0.5, 0.5, len(tokens.bad)),
        POSITION: 0.5 - tokens.place,
        STEP_LENGTH: _longer_is_worse(tokens.step_length),
        LENGTH: _longer_is_worse(tokens.length),
    }


def _longer_is_worse(lengths: Ints) -> Floats:
    """Return rewards in (-0.5, 0.5) that fall with the length and are 0 at its mean."""
    found: Floats = 0.5 - lengths / (lengths + lengths.mean())
    return found
