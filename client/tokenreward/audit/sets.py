"""The sets of an audit: responses whose wrong spans are known, and pairs of a better and a worse response."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

#: [start, end) in characters of a response.
Span = tuple[int, int]
Prompt = str | list[dict[str, Any]]
#: Context fields of a response by name: a text, several texts, or messages.
Context = Mapping[str, Any]


@dataclass(frozen=True)
class Response:
    """One response to score.

    Attributes:
        prompt: Text or messages.
        text: The response.
        context: What is known beside them, by the names of context fields.
        spans: Its own segments, in characters of the text.
    """

    prompt: Prompt
    text: str
    context: Context = field(default_factory=dict)
    spans: tuple[Span, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """A key that is equal for responses that need not be scored twice."""
        prompt, text, context = self.key_with(self.context)
        return prompt, text, context + (json.dumps(self.spans) if self.spans else "")

    def key_with(self, fields: Collection[str]) -> tuple[str, str, str]:
        """Return the key where only these context fields count."""
        prompt = self.prompt if isinstance(self.prompt, str) else repr(self.prompt)
        return prompt, self.text, json.dumps(self._of_context(fields), sort_keys=True)

    def item(self, fields: Collection[str] = ()) -> dict[str, Any]:
        """Return the response as an item to be labeled, with these of its context fields."""
        context = self._of_context(fields)
        return {"prompt": self.prompt, "response": self.text} | ({"context": context} if context else {})

    def _of_context(self, fields: Collection[str]) -> dict[str, Any]:
        return {name: value for name, value in self.context.items() if name in fields}


@dataclass(frozen=True)
class SpanItem:
    """A response and what is known to be wrong in it. Spans are characters of `response`, half-open.

    Attributes:
        id: Its name.
        prompt: Text or messages.
        response: The text.
        bad: The spans that are wrong.
        ignore: Spans that nobody judged. No statistic counts them.
        context: Its context fields.
        spans: Its own segments, over which rewards may be pooled.
        task: The kind of task or the source that it is of, empty if that is not said.
    """

    id: str
    prompt: Prompt
    response: str
    bad: tuple[Span, ...]
    ignore: tuple[Span, ...] = ()
    context: Context = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    task: str = ""

    @property
    def responses(self) -> tuple[Response]:
        """Its response, to be scored."""
        return (Response(self.prompt, self.response, self.context, self.spans),)


@dataclass(frozen=True)
class PairItem:
    """Two responses to one prompt, of which `chosen` is known to be better.

    Attributes:
        id: Its name.
        prompt: Text or messages.
        chosen: The better response.
        rejected: The other one.
        chosen_context: The context fields of the better one.
        rejected_context: The context fields of the other one.
        chosen_spans: The better one's own segments.
        rejected_spans: The other one's.
    """

    id: str
    prompt: Prompt
    chosen: str
    rejected: str
    chosen_context: Context = field(default_factory=dict)
    rejected_context: Context = field(default_factory=dict)
    chosen_spans: tuple[Span, ...] = ()
    rejected_spans: tuple[Span, ...] = ()

    @property
    def responses(self) -> tuple[Response, Response]:
        """The better response and the other one, to be scored."""
        return (
            Response(self.prompt, self.chosen, self.chosen_context, self.chosen_spans),
            Response(self.prompt, self.rejected, self.rejected_context, self.rejected_spans),
        )


@dataclass(frozen=True)
class SpanSet:
    """Responses with known errors, under one name."""

    name: str
    items: tuple[SpanItem, ...]


@dataclass(frozen=True)
class PairSet:
    """Pairs, under one name."""

    name: str
    items: tuple[PairItem, ...]


AuditSet = SpanSet | PairSet


def thinned(found: AuditSet, count: int | None) -> AuditSet:
    """Return at most `count` items of a set.

    They are evenly spread over it, so that a file sorted by kind stays mixed.
    """
    total = len(found.items)
    if count is None or count >= total:
        return found
    kept = [number * total // count for number in range(count)]
    if isinstance(found, SpanSet):
        return SpanSet(found.name, tuple(found.items[n] for n in kept))
    return PairSet(found.name, tuple(found.items[n] for n in kept))


def capped(found: AuditSet, responses: int) -> AuditSet:
    """Return a set with at most that many responses. A pair has two."""
    return thinned(found, responses if isinstance(found, SpanSet) else max(1, responses // 2))
