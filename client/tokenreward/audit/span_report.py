"""Measuring the labels on one set of responses with known errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tokenreward.audit.examples import Judged
from tokenreward.audit.measures import spans
from tokenreward.audit.measures.judged_tokens import baselines, collect
from tokenreward.audit.measures.ranks import Flags
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.measures.surroundings import repeated, surroundings_of
from tokenreward.audit.plan import Label
from tokenreward.audit.report import Failure
from tokenreward.audit.scored import Scores
from tokenreward.audit.sets import SpanSet
from tokenreward.audit.tokens import LEFT_OUT, judged, unseen
from tokenreward.errors import BadInput
from tokenreward.statistics.bootstrap import Resamples


def judged_items(found: SpanSet, scores: Scores, failures: list[Failure]) -> Iterator[Judged]:
    """Yield the responses that could be scored, with their tokens judged, and add the others to `failures`."""
    for item in found.items:
        scored = scores.of(*item.responses)
        if scored.error is not None:
            failures.append(Failure(found.name, item.id, scored.error))
        else:
            yield Judged(item, scored, judged(scored.offsets, item.bad, item.ignore))


def span_report(name: str, items: Sequence[Judged], labels: Sequence[Label], seed: int, resamples: int) -> SpanReport:
    """Measure every label and baseline on one set.

    Args:
        name: The set's name.
        items: Its responses that could be scored.
        labels: The labels.
        seed: Of the resamples and of the random baseline.
        resamples: How many resamples the intervals are from.

    Raises:
        BadInput: There are no bad or no good tokens.
    """
    if not items:
        raise BadInput(f"{name}: none of its responses could be scored")
    around = [surroundings_of(one.scored.text, one.scored.offsets) for one in items]
    tasks = [one.item.task for one in items]
    tokens = collect([one.tokens for one in items], [one.scored.plain for one in items], around, tasks)
    if tokens.bad.all() or not tokens.bad.any():
        missing = "good" if tokens.bad.any() else "bad"
        raise BadInput(f"{name}: no token of it is {missing}, so there is nothing to tell apart")
    rewards = baselines(tokens, name, seed)
    for label in labels:
        every = [one.scored.rewards(label)[one.tokens != LEFT_OUT] for one in items]
        rewards[label.name] = np.concatenate(every).astype(np.float64)
    shown = {label.name: _repeated(items, label) for label in labels if label.shown_fields}
    figures = spans.measure(tokens, rewards, Resamples(name, len(items), seed, resamples), shown)
    return SpanReport(
        name=name,
        responses=len(items),
        wrong=tokens.responses_with(tokens.bad),
        right=tokens.responses_with(~tokens.bad),
        tokens=len(tokens.bad),
        bad_tokens=int(tokens.bad.sum()),
        left_out=sum(int((one.tokens == LEFT_OUT).sum()) for one in items),
        unseen=sum(unseen(one.scored.offsets, one.item.bad) for one in items),
        figures=figures,
    )


def _repeated(items: Sequence[Judged], label: Label) -> Flags:
    """Return which judged tokens repeat a word of what the label shows beside the prompt, bool `[N]`."""
    found = []
    for one in items:
        texts = _texts([one.scored.context.get(field) for field in label.shown_fields])
        found.append(repeated(one.scored.text, one.scored.offsets, texts)[one.tokens != LEFT_OUT])
    return np.concatenate(found)


def _texts(values: Sequence[object]) -> list[str]:
    """Return every text in context fields: a text, a list of texts, or messages."""
    found = []
    for value in values:
        for part in value if isinstance(value, list) else [value]:
            content = part.get("content") if isinstance(part, dict) else part
            if isinstance(content, str):
                found.append(content)
    return found
