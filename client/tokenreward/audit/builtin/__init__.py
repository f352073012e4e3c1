"""The built-in sets: errors of six kinds put into right answers, so that an audit needs no download.

One small module makes each set, from material that is written beside it and with a fixed seed. The corrupted responses
are a set with bad spans; each with its clean twin is a pair, whose chosen response is the clean one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from tokenreward.audit.builtin import code, entity, instruction, negation, number, repetition
from tokenreward.audit.builtin.base import Twin
from tokenreward.audit.sets import AuditSet, PairItem, PairSet, SpanItem, SpanSet
from tokenreward.errors import UnknownName

_MAKERS: Mapping[str, Callable[[], Sequence[Twin]]] = {
    "number": number.twins,
    "entity": entity.twins,
    "negation": negation.twins,
    "repetition": repetition.twins,
    "instruction": instruction.twins,
    "code": code.twins,
}
NAMES = tuple(_MAKERS)


@cache
def twins(name: str) -> tuple[Twin, ...]:
    """Return the items of one set. Raises UnknownName."""
    if name not in _MAKERS:
        raise UnknownName("built-in set", name, NAMES)
    return tuple(_MAKERS[name]())


def load(names: Sequence[str] = ()) -> list[AuditSet]:
    """Return the named sets, or all: first those with spans, then the same as pairs. Raises UnknownName."""
    chosen = list(names or NAMES)
    spans = [SpanSet(name, tuple(_span_item(twin) for twin in twins(name))) for name in chosen]
    pairs = [PairSet(name, tuple(_pair_item(twin) for twin in twins(name))) for name in chosen]
    return [*spans, *pairs]


def _span_item(twin: Twin) -> SpanItem:
    # `rlmec` asks for it: every response of these sets has an error. Pairs do not say, as it would give them away.
    return SpanItem(twin.id, twin.prompt, twin.corrupted, twin.bad, context={"outcome": "wrong"})


def _pair_item(twin: Twin) -> PairItem:
    return PairItem(twin.id, twin.prompt, twin.clean, twin.corrupted)
