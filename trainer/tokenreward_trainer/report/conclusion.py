"""The first lines of a training report: in words, what changed against the baseline, on how many pairs, how surely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tokenreward.html.document import text
from tokenreward.statistics.bootstrap import Interval, Resamples
from tokenreward_trainer.training.run_record import RunRecord

#: Fewer pairs than this say nothing, whatever their interval.
_FEW = 10


def conclusion(records: Sequence[RunRecord]) -> str:
    """Concludes from held-out pairs, as HTML.

    Args:
        records: The runs, the baseline first and the most important last; all were judged on the same pairs.
    """
    lines = sentences(records)
    return "\n".join(f"<p class='conclusion'>{text(line)}</p>" for line in lines)


def sentences(records: Sequence[RunRecord]) -> list[str]:
    """Concludes in plain sentences, the most important first.

    Args:
        records: See `conclusion`.
    """
    last, baseline = records[-1], records[0]
    count = len(last.outcomes)
    if count == 0 and last.held_out:
        return [
            f"{last.name} compares no responses. What it made of {last.held_out} held-out ones is their loss, below."
        ]
    if count == 0:
        return ["No pair was held out, so this report cannot say whether training helped: set data.eval_share."]
    if len(records) == 1:
        return [sentence for sentence in (_alone(last, count), _marks(last, None)) if sentence is not None]
    compared = [_preference(last, baseline, count), _token_rewards(last, baseline, count), _marks(last, baseline)]
    return [sentence for sentence in compared if sentence is not None]


def _alone(run: RunRecord, count: int) -> str:
    share = _share(Resamples("pairs", count).mean(_right(run)).interval)
    return (
        f"{run.name} prefers the chosen response in {share} of {count} held-out pairs. There is no baseline to compare "
        "with; report.baseline = true trains one."
    )


def _preference(last: RunRecord, baseline: RunRecord, count: int) -> str:
    resamples = Resamples("pairs", count)
    own, other = (_share(resamples.mean(_right(run)).interval) for run in (last, baseline))
    gap = resamples.mean(_right(last) - _right(baseline)).interval
    return (
        f"On {count} held-out pairs, {last.name} prefers the chosen response in {own} of them and {baseline.name} in "
        f"{other}: {_points(gap)}. {_verdict(gap, count, last, baseline)}"
    )


def _token_rewards(last: RunRecord, baseline: RunRecord, count: int) -> str | None:
    """Whether token rewards follow the labels; None where no pair can say."""
    own, other = _correlations(last), _correlations(baseline)
    if not np.isfinite(own - other).any():
        return None
    resamples = Resamples("pairs", count)
    gap = resamples.mean(own - other).interval
    return (
        "Its learned token rewards follow the labels with a mean correlation of "
        f"{resamples.mean(own).value:.2f} within a pair, those of {baseline.name} with "
        f"{resamples.mean(other).value:.2f} (difference {gap.value:+.2f}, 95% interval {gap.low:+.2f} to "
        f"{gap.high:+.2f})."
    )


def _marks(last: RunRecord, baseline: RunRecord | None) -> str | None:
    """Whether token rewards find what people marked; None where nobody marked anything."""
    if last.spans is None:
        return None
    found, beside = last.spans, ""
    if baseline is not None and baseline.spans is not None:
        beside = f", those of {baseline.name} with {baseline.spans.auroc:.2f}"
    return (
        f"What people marked as wrong ({found.marked} of {found.tokens} tokens in {found.responses} responses), its "
        f"learned token rewards find with an AUROC of {found.auroc:.2f}{beside}; chance is 0.5."
    )


def _right(record: RunRecord) -> NDArray[np.float64]:
    """1 for each pair whose chosen response the policy prefers, as its metrics count them."""
    return np.array([float(outcome.margin > 0) for outcome in record.outcomes])


def _correlations(record: RunRecord) -> NDArray[np.float64]:
    return np.array([np.nan if o.correlation is None else o.correlation for o in record.outcomes], dtype=np.float64)


def _share(found: Interval) -> str:
    return f"{found.value:.0%} (95% interval {found.low:.0%} to {found.high:.0%})"


def _points(gap: Interval) -> str:
    return f"a difference of {100 * gap.value:+.0f} points, 95% interval {100 * gap.low:+.0f} to {100 * gap.high:+.0f}"


def _verdict(gap: Interval, count: int, last: RunRecord, baseline: RunRecord) -> str:
    if count < _FEW:
        return f"{count} pairs are too few to say anything."
    if gap.above(0):
        return f"{last.name} is better on these pairs, by more than chance explains."
    if gap.below(0):
        return f"{last.name} is worse on these pairs, by more than chance explains."
    return f"Whether {last.name} is better or worse than {baseline.name} cannot be told from these pairs."
