"""What is audited: responses whose wrong spans are known, and pairs of which one response is known to be better.

A file's kind is told by its columns. Everything that is wrong with it is said with file, line and field.
"""

from __future__ import annotations

from dataclasses import dataclass

#: [start, end) in characters of a response.
Span = tuple[int, int]
Prompt = str | list[dict[str, str]]


@dataclass(frozen=True)
class SpanItem:
    """A response and what is known to be wrong in it. Spans are characters of `response`, half-open.

    ignore: what nobody judged, and no statistic counts.
    """

    id: str
    prompt: Prompt
    response: str
    bad: tuple[Span, ...]
    ignore: tuple[Span, ...] = ()


@dataclass(frozen=True)
class PairItem:
    """Two responses to one prompt, of which `chosen` is known to be better."""

    id: str
    prompt: Prompt
    chosen: str
    rejected: str


@dataclass(frozen=True)
class SpanSet:
    name: str
    items: tuple[SpanItem, ...]


@dataclass(frozen=True)
class PairSet:
    name: str
    items: tuple[PairItem, ...]


AuditSet = SpanSet | PairSet


def thinned(found: AuditSet, count: int | None) -> AuditSet:
    """At most `count` items, evenly spread over the set, so that a file sorted by kind stays mixed."""
    total = len(found.items)
    if count is None or count >= total:
        return found
    kept = [number * total // count for number in range(count)]
    if isinstance(found, SpanSet):
        return SpanSet(found.name, tuple(found.items[n] for n in kept))
    return PairSet(found.name, tuple(found.items[n] for n in kept))
