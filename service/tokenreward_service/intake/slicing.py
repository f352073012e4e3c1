"""Cuts a job's entries into slices of a few seconds of work each, by estimated tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tokenreward import estimators
from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.protocol.records import ScoringOptions
from tokenreward.schema import ContextValue, Item, Template
from tokenreward.schema.contexts import value_texts
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.drafts import Plan, Slice

#: Bytes of candidates (`include` 'top' and 'named') that the results of a slice may have: a blob is held as a whole.
_CANDIDATE_BYTES = 16 * 2**20
#: Characters (UTF-8 bytes) per token that are assumed, and what a chat template adds.
_BYTES_PER_TOKEN = 4.0
_CHAT_TOKENS = 24


class Slicer:
    """Cuts entries, which come in input order, into slices.

    Args:
        plan: Its branches and its workers' speed decide how much work an entry is and how much a slice takes.
        settings: How large a slice may be.

    Attributes:
        budget: Most estimated tokens in a slice that has more than one entry.
    """

    def __init__(self, plan: Plan, settings: ServiceSettings) -> None:
        self.budget = _budget(plan, settings)
        self._most = settings.shard_items
        self._costs = _Costs(plan.scoring)
        self._open = Slice(0)
        self._candidates = 0

    def add(self, entries: Iterable[Entry]) -> Iterator[Slice]:
        """Add entries; yields the slices that are full."""
        for entry in entries:
            cost = self._costs.of(entry.item) if entry.item is not None else 0
            candidates = self._costs.candidates(entry.item) if entry.item is not None else 0
            full = self._open.estimated + cost > self.budget or len(self._open.entries) >= self._most
            full = full or self._candidates + candidates > _CANDIDATE_BYTES
            if self._open.entries and full:
                yield self._next()
            self._open.entries.append(entry)
            self._open.estimated += cost
            self._candidates += candidates

    def rest(self) -> Iterator[Slice]:
        """Yields the last slice, if there is any entry in it."""
        if self._open.entries:
            yield self._next()

    def _next(self) -> Slice:
        done, self._open = self._open, Slice(self._open.start + len(self._open.entries))
        self._candidates = 0
        return done


def _budget(plan: Plan, settings: ServiceSettings) -> int:
    if plan.speed is None:
        return settings.shard_tokens
    return int(min(max(plan.speed * settings.shard_seconds, settings.shard_tokens / 4), settings.shard_tokens * 256))


class _Costs:
    """Estimated tokens of an item: what a plain scorer would read, over all branches and their repetitions."""

    def __init__(self, scoring: ScoringOptions) -> None:
        estimator = estimators.resolve(scoring.estimator)
        self._top = scoring.top_k if "top" in scoring.include else 0
        self._named = "named" in scoring.include
        self._branches = [_BranchCost.of(scoring.template, name) for name in estimator.branches]
        #: The most values that are shown of each field that a branch is repeated over.
        self._most = {
            each: scoring.parameters.get(estimator.repeated.get(name, ""))
            for name in estimator.branches
            if (each := scoring.template.branches[name].each) is not None
        }

    def of(self, item: Item | IdsItem) -> int:
        if isinstance(item, IdsItem):
            return len(self._branches) * (len(item.prompt_ids) + len(item.token_ids))
        prompt = _tokens(item.prompt_texts())
        fields = self._fields(item)
        return int(sum(branch.tokens(prompt, _response(item), fields) for branch in self._branches)) + 1

    def candidates(self, item: Item | IdsItem) -> int:
        """Estimated bytes of the candidates in an item's result: an id and a log-prob of four bytes each."""
        named = 0
        if self._named and item.named_ids is not None:
            named = len(item.named_ids[0] if isinstance(item.named_ids[0], list) else item.named_ids)
        if not self._top and not named:
            return 0
        fields = {} if isinstance(item, IdsItem) else self._fields(item)
        rows = sum(branch.times(fields) for branch in self._branches)
        return int(8 * (self._top + named) * rows * _response(item))

    def _fields(self, item: Item) -> dict[str, list[float]]:
        return {name: self._lengths(name, value) for name, value in (item.context or {}).items()}

    def _lengths(self, name: str, value: ContextValue) -> list[float]:
        """Estimated tokens of each value of a field that will be shown."""
        if name not in self._most:
            return [_tokens(value_texts(value))]
        values = [value] if isinstance(value, str) else value
        most = self._most[name]
        return [_tokens(value_texts([part])) for part in values[: None if most is None else int(most)]]


@dataclass(frozen=True, slots=True)
class _BranchCost:
    """What one branch adds, in tokens.

    Attributes:
        fixed: The template's own text and the chat template.
        prompts: How often it shows the prompt.
        responses: How often it shows the response, the scored one included.
        fields: How often it shows each context field.
        each: The field that it is repeated over.
    """

    fixed: float
    prompts: int
    responses: int
    fields: Mapping[str, int]
    each: str | None

    @classmethod
    def of(cls, template: Template, name: str) -> _BranchCost:
        text = "{prompt}" if template.branches[name].conversation else template.text(name)
        return cls(
            fixed=len(text) / _BYTES_PER_TOKEN + _CHAT_TOKENS,
            prompts=text.count("{prompt}"),
            responses=text.count("{response}") + 1,
            fields={field: text.count(f"{{{field}}}") for field in template.fields},
            each=template.branches[name].each,
        )

    def times(self, fields: Mapping[str, list[float]]) -> int:
        """How often an item's response is scored under it."""
        return 1 if self.each is None else len(fields.get(self.each, []))

    def tokens(self, prompt: float, response: float, fields: Mapping[str, list[float]]) -> float:
        """Estimated tokens of every repetition of the branch together."""
        times, repeated = self.times(fields), 0.0
        if self.each is not None:
            repeated = self.fields[self.each] * sum(fields.get(self.each, []))
        shown = sum(n * sum(fields.get(name, ())) for name, n in self.fields.items() if name != self.each)
        return times * (self.fixed + self.prompts * prompt + self.responses * response + shown) + repeated


def _response(item: Item | IdsItem) -> float:
    if isinstance(item, IdsItem):
        return len(item.token_ids)
    return len(item.token_ids or ()) or _tokens(item.response_texts())


def _tokens(texts: Iterable[str]) -> float:
    return sum(map(_bytes, texts)) / _BYTES_PER_TOKEN


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
