"""Cuts a job's entries into slices of a few seconds of work each, by estimated tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokenreward import estimators
from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.schema import Item, Template
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.drafts import Plan, Slice

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
        self._costs = _Costs(plan.scoring.template, estimators.resolve(plan.scoring.estimator).branches)
        self._open = Slice(0)

    def add(self, entries: Iterable[Entry]) -> Iterator[Slice]:
        """Add entries; yields the slices that are full."""
        for entry in entries:
            cost = self._costs.of(entry.item) if entry.item is not None else 0
            full = self._open.estimated + cost > self.budget or len(self._open.entries) >= self._most
            if self._open.entries and full:
                yield self._next()
            self._open.entries.append(entry)
            self._open.estimated += cost

    def rest(self) -> Iterator[Slice]:
        """Yields the last slice, if there is any entry in it."""
        if self._open.entries:
            yield self._next()

    def _next(self) -> Slice:
        done, self._open = self._open, Slice(self._open.start + len(self._open.entries))
        return done


def _budget(plan: Plan, settings: ServiceSettings) -> int:
    if plan.speed is None:
        return settings.shard_tokens
    return int(min(max(plan.speed * settings.shard_seconds, settings.shard_tokens / 4), settings.shard_tokens * 256))


class _Costs:
    """Estimated tokens of an item: what a plain scorer would read, over all branches."""

    def __init__(self, template: Template, branches: Iterable[str]) -> None:
        self._fixed = 0.0
        self._prompts = self._responses = 0
        for name in branches:
            branch = template.branches[name]
            text = "{prompt}" if branch.conversation else (branch.context or template.context) + branch.directive
            prompts, responses = text.count("{prompt}"), text.count("{response}")
            self._prompts += prompts
            self._responses += responses + 1
            self._fixed += len(text) / _BYTES_PER_TOKEN + _CHAT_TOKENS

    def of(self, item: Item) -> int:
        prompt = sum(map(_bytes, item.prompt_texts())) / _BYTES_PER_TOKEN
        response = len(item.token_ids or ()) or sum(map(_bytes, item.response_texts())) / _BYTES_PER_TOKEN
        return int(self._fixed + self._prompts * prompt + self._responses * response) + 1


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
