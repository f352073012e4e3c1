"""The charts of the audit's page: ROC curves, calibration, and AUROC by place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from tokenreward.audit.measures.groups import Group
from tokenreward.audit.measures.judged_tokens import BASELINES
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.output.line_charts import Line, Look, chart
from tokenreward.audit.report import AuditReport


def looks_of(report: AuditReport) -> dict[str, Look]:
    """Return the look of every label, baselines first, as in the tables."""
    if not report.spans:
        return {}
    names = list(dict.fromkeys(name for spans in report.spans for name in spans.figures))
    baselines = [name for name in names if name in BASELINES]
    others = [name for name in names if name not in BASELINES]
    return {name: Look.of(number, True) for number, name in enumerate(baselines)} | {
        name: Look.of(number, False) for number, name in enumerate(others)
    }


def charts(spans: SpanReport, looks: Mapping[str, Look]) -> Iterator[str]:
    """Yield the charts of one set as SVG."""
    figures = {name: spans.figures[name] for name in looks if name in spans.figures}
    curves = [Line(name, looks[name], found.curve.x, found.curve.y) for name, found in figures.items()]
    shares = ("share of good tokens", "share of bad tokens")
    yield chart("ROC: found against false alarms", curves, shares, (0, 1), (0, 1), diagonal=True)
    # The baselines' rewards have a scale of their own.
    own = {name: found for name, found in figures.items() if name not in BASELINES}
    binned = [_line(name, looks, found.by_reward, "reward", "share_bad") for name, found in own.items()]
    base = spans.bad_tokens / spans.tokens
    end = _ceiling([abs(x) for line in binned for x in line.x], 0.5)
    top = _ceiling([base, *(y for line in binned for y in line.y)], 1.0)
    axes = ("mean reward of a tenth of the tokens", "share of bad tokens")
    yield chart("Calibration: should fall", binned, axes, (-end, end), (0, top), level=base, dots=True)
    placed = [_by_place(name, looks, found.by_place) for name, found in figures.items()]
    axes = ("place in the response, %", "AUROC within a tenth")
    yield chart("By place in the response", placed, axes, (0, 100), (0, 1), level=0.5, dots=True)


def _line(name: str, looks: Mapping[str, Look], groups: Sequence[Group], x: str, y: str) -> Line:
    return Line(name, looks[name], [getattr(g, x) for g in groups], [getattr(g, y) for g in groups])


def _by_place(name: str, looks: Mapping[str, Look], groups: Sequence[Group]) -> Line:
    middles = [int(group.name.partition("%")[0]) + 5 for group in groups]
    return Line(name, looks[name], middles, [group.auroc for group in groups])


def _ceiling(values: Sequence[float], most: float) -> float:
    """Return a little more than the largest value, so that it is not drawn on the edge."""
    known = [value for value in values if math.isfinite(value)]
    return min(most, max(0.02, 1.1 * max(known, default=most)))
