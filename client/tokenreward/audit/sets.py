"""The sets of an audit: responses whose wrong spans are known, and pairs of a better and a worse response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: [start, end) in characters of a response.
Span = tuple[int, int]
Prompt = str | list[dict[str, Any]]


@dataclass(frozen=True)
class SpanItem:
    """A response and what is known to be wrong in it. Spans are characters of `response`, half-open.

    Attributes:
        id: Its name.
        prompt: Text or messages.
        response: The text.
        bad: The spans that are wrong.
        ignore: Spans that nobody judged. No statistic counts them.
    """

    id: str
    prompt: Prompt
    response: str
    bad: tuple[Span, ...]
    ignore: tuple[Span, ...] = ()


@dataclass(frozen=True)
class PairItem:
    """Two responses to one prompt, of which `chosen` is known to be better.

    Attributes:
        id: Its name.
        prompt: Text or messages.
        chosen: The better response.
        rejected: The other one.
    """

    id: str
    prompt: Prompt
    chosen: str
    rejected: str


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
