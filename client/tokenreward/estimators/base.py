"""The interface of an estimator: the branches it reads, and pure functions from their log-probs to rewards.

An estimator has two steps. `difference` makes one number d_t of each response token out of the evidence, as its source
defines it. `transform` squashes d_t into the range of rewards, [-0.5, 0.5].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tokenreward.estimators.parameters import Parameter, Parameters, complete
from tokenreward.schema import Fingerprint, Template, digest
from tokenreward.schema.provenance import REMOTE, TOKEN_CLASSIFIER

LogProbs = NDArray[np.float32]
Rewards = NDArray[np.float32]
#: Rewards lie within plus and minus this, unless their estimator is unbounded.
MOST_REWARD = 0.5

#: One number per response token, before it is squashed. Float64 where a formula averages.
Difference = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Moments:
    """The first two moments of a prediction's log-probs, under the prediction p itself.

    Attributes:
        entropy: float32 `[T]`, H = -E[log p] in nats, at least 0.
        variance: float32 `[T]`, V = E[(log p + H)^2] in nats squared, at least 0.
    """

    entropy: NDArray[np.float32]
    variance: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one response when its rewards are computed.

    Attributes:
        logprobs: float32 `[T]` by branch; `[K, T]` for a branch that is repeated over a list field.
        text: The response's text.
        offsets: The characters `[start, end)` of each token in `text`, one for each of T tokens.
        context: The item's context fields by name.
        moments: Of the predictions, by branch, for an estimator that reads them; none of repeated branches.
    """

    logprobs: Mapping[str, LogProbs]
    text: str = ""
    offsets: Sequence[tuple[int, int]] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    moments: Mapping[str, Moments] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an estimator made of one response.

    Attributes:
        difference: float `[T]`, d_t as the source defines it; unbounded.
        rewards: float32 `[T]`, in [-0.5, 0.5] unless the estimator is unbounded.
    """

    difference: Difference
    rewards: Rewards


def squash(difference: Difference, parameters: Parameters | None = None) -> Rewards:
    """Return sigmoid(d) - 1/2 (T-REG, arXiv 2412.02685, eq. 3), float32 in [-0.5, 0.5].

    It is computed as tanh(d/2)/2, whose float32 form does not saturate early.

    Args:
        difference: float `[T]`.
        parameters: Not read; every transform takes them.
    """
    halved = difference.astype(np.float32, copy=False) * np.float32(0.5)
    squashed: Rewards = np.tanh(halved, dtype=np.float32) * np.float32(0.5)
    return squashed


def as_it_is(difference: Difference, parameters: Parameters | None = None) -> Rewards:
    """Return the difference itself, float32 and unbounded."""
    return difference.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Estimator:
    """A pure function from what the branches say of a response to one reward per token.

    Attributes:
        name: The name that clients ask for.
        branches: The template's branches that it reads, in the order in which they are scored.
        formula: The function for people. It is part of the hash.
        difference: (evidence, parameters) -> float `[T]`. It is pure, and defined for every finite input.
        transform: (difference, parameters) -> float32 `[T]`, in [-0.5, 0.5] unless `unbounded`.
        version: Bumped when a function changes.
        template: The template that it was made for, which is taken where a request names none.
        source: Where the formula comes from.
        parameters: Its parameters by name, with their defaults and bounds.
        repeated: Its repeated branches, and the parameter that says how many repetitions are scored at most.
        fields: The context fields that it reads itself; at least one of them must be given.
        moments: Whether it reads the moments of the predictions, which not every engine has.
        text: Whether it reads the response's text and the tokens' places in it.
        unbounded: Whether rewards may lie outside [-0.5, 0.5].
        reads: What its rows are: `logprobs` of tokens, or `judgements` of them by a token classifier.
    """

    name: str
    branches: tuple[str, ...]
    formula: str
    difference: Callable[[Evidence, Parameters], Difference]
    transform: Callable[[Difference, Parameters], Rewards] = squash
    version: int = 1
    template: str = "revision"
    source: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    repeated: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    moments: bool = False
    text: bool = False
    unbounded: bool = False
    reads: Literal["logprobs", "judgements"] = "logprobs"

    @property
    def hash(self) -> str:
        """The hash of the estimator with its default parameters."""
        return self.hash_with({})

    def hash_with(self, given: Parameters) -> str:
        """Return the hash of everything that may change a reward, out of the same log-probs.

        Args:
            given: Parameters that take another value than their default.
        """
        content: dict[str, Any] = {
            "name": self.name,
            "branches": self.branches,
            "formula": self.formula,
            "version": self.version,
        }
        # Estimators without parameters keep the hash that they had before there were any.
        if self.parameters:
            content["parameters"] = self.chosen(given)
        return digest(content)

    def unfit(self, template: Template) -> str | None:
        """Return why a template cannot be used with this estimator; None if it can.

        A branch that the template repeats has several rows, which only some estimators take.
        """
        has = ", ".join(template.branches)
        made_for = f"It was made for template {self.template!r}, which is taken where no template is named"
        missing = next((name for name in self.branches if name not in template.branches), None)
        if missing is not None:
            return (
                f"estimator {self.name!r} needs branch {missing!r}; template {template.name!r} has: {has}. {made_for}"
            )
        several = next((n for n in self.branches if template.branches[n].each and n not in self.repeated), None)
        if several is not None:
            return (
                f"template {template.name!r} repeats branch {several!r} over a list, and estimator {self.name!r} takes "
                f"it once. {made_for}"
            )
        return None

    def unfit_model(self, fingerprint: Fingerprint) -> str | None:
        """Return why a model cannot be used with this estimator; None if it can.

        An estimator that asks no model can be used with any. The rows of the synthetic engine mean nothing, so that it
        serves every estimator.
        """
        if self.moments and fingerprint.engine == REMOTE:
            return (
                f"estimator {self.name!r} needs the moments of predictions, and {fingerprint.model!r} is served through"
                " endpoints (engine remote), which give none: take estimator 'lp_word', or a worker with engine vllm or"
                " transformers"
            )
        classifier = fingerprint.head == TOKEN_CLASSIFIER
        if not self.branches or fingerprint.engine == "synthetic" or classifier == (self.reads == "judgements"):
            return None
        if classifier:
            return f"model {fingerprint.model!r} is a token classifier, which judges tokens: take estimator 'tlcr'"
        return (
            f"estimator {self.name!r} needs a token classifier, and {fingerprint.model!r} is a language model;"
            " `tokenreward train-labeler` makes one"
        )

    def chosen(self, given: Parameters) -> dict[str, float]:
        """Return every parameter's value: the given ones, and the defaults of the others.

        Raises:
            BadInput: A parameter is unknown, or its value is outside its bounds.
        """
        return complete(self.name, self.parameters, given)

    def apply(self, evidence: Evidence, given: Parameters | None = None) -> Outcome:
        """Compute the rewards of one response.

        Args:
            evidence: Its log-probs, and what else is known of it.
            given: Parameters that take another value than their default.

        Raises:
            BadInput: A parameter or a context field cannot be used.
        """
        parameters = self.chosen(given or {})
        # Extreme log-probs may overflow on their way to a saturated reward; the caller checks what comes out.
        with np.errstate(over="ignore"):
            difference = self.difference(evidence, parameters)
            return Outcome(difference, self.transform(difference, parameters))

    def rewards(self, logprobs: Mapping[str, LogProbs], given: Parameters | None = None) -> Rewards:
        """Return the rewards of an estimator that reads nothing but log-probs, float32 `[T]`."""
        return self.apply(Evidence(logprobs), given).rewards
