"""The audit as one HTML page that needs nothing else: verdicts, tables, ROC curves, calibration, and heat maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from tokenreward.audit.examples import Example
from tokenreward.audit.measures.groups import Group
from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.output.charts import Line, Look, chart, key
from tokenreward.audit.output.grids import Grid, length_grid, overall_grid, pair_grid, pairs_grid, span_grid
from tokenreward.audit.output.json_report import grouped, origin, pair_verdicts, verdicts
from tokenreward.audit.plan import BASELINES
from tokenreward.audit.study import OVERALL, AuditReport
from tokenreward.html.document import document, text
from tokenreward.schema import Message
from tokenreward.show.cells import cells
from tokenreward.show.page import heat, legend
from tokenreward.show.scale import Scale
from tokenreward.templates import transcript

_STYLE = """
table { border-collapse: collapse; font-size: .875rem; margin: .6rem 0; display: block; overflow-x: auto; }
caption { text-align: left; font-weight: 600; padding: .4rem 0; }
th, td { padding: .1rem .7rem .1rem 0; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 1px solid var(--line); font-weight: 600; }
.baseline { color: var(--quiet); }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
.charts svg { max-width: 100%; height: auto; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .875rem; }
.wrong { outline: 2px solid var(--ink); outline-offset: -1px; }
dt { font-weight: 600; margin-top: .6rem; }
dd { margin: 0 0 0 1.2rem; }
summary { cursor: pointer; font-weight: 600; padding: .3rem 0; }
"""

_INTRODUCTION = (
    "Do the rewards stand lowest on the tokens that are wrong? AUROC: how often a bad token's reward is below a good"
    " one's; 0.5 is chance. Stratified: only tokens that are about equally likely are compared, so that repeating"
    " surprisal gains nothing. Gain: AUROC less that of surprisal, on the same responses."
)


def page(report: AuditReport) -> str:
    """The whole document."""
    looks = _looks(report)
    head = [f"<p>{text(_INTRODUCTION)}</p>", f'<p class="quiet">{text(origin(report))}</p>']
    return document("Audit of token rewards", head, _body(report, looks), _STYLE)


def _body(report: AuditReport, looks: Mapping[str, Look]) -> Iterator[str]:
    yield "<article>\n<h2>What follows</h2>\n<dl>"
    for label in report.labels:
        yield f"<dt>{text(label.name)}</dt>"
        for words, what in ((verdicts(report, label.name), ""), (pair_verdicts(report, label.name), "as pairs: ")):
            if words:
                yield f"<dd><b>{text(what + words[OVERALL])}</b></dd>"
            if len(words) > 2:
                shown = grouped(words).items()
                yield from (f"<dd>{text(what + ', '.join(names) + ': ' + said)}</dd>" for said, names in shown)
    yield "</dl>"
    if len(report.spans) > 1:
        yield _table(overall_grid(report))
    if len(report.pairs) > 1:
        yield _table(pairs_grid(report))
    yield "</article>"
    for spans in report.spans:
        yield f"<article>\n<h2>{text(spans.name)}</h2>\n{_table(span_grid(spans))}"
        yield key(list(looks.items()))
        yield f'<div class="charts">{"".join(_charts(spans, looks))}</div>'
        if (lengths := length_grid(spans)) is not None:
            yield _table(lengths)
        yield "</article>"
    if report.pairs:
        tables = "\n".join(_table(pair_grid(pairs)) for pairs in report.pairs)
        yield f"<article>\n<h2>Pairs</h2>\n{tables}\n</article>"
    yield from _examples(report)
    yield _labels(report)


def _looks(report: AuditReport) -> dict[str, Look]:
    """Baselines first, as in the tables."""
    if not report.spans:
        return {}
    names = list(report.spans[0].figures)
    baselines = [name for name in names if name in BASELINES]
    others = [name for name in names if name not in BASELINES]
    return {name: Look.of(number, True) for number, name in enumerate(baselines)} | {
        name: Look.of(number, False) for number, name in enumerate(others)
    }


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{text(name)}</th>" for name in ("label", *grid.columns))
    rows = "\n".join(
        f"<tr{' class=baseline' * row.baseline}><td>{text(row.label)}</td>"
        f"{''.join(f'<td>{text(cell)}</td>' for cell in row.cells)}</tr>"
        for row in grid.rows
    )
    caption = f"<caption>{text(grid.title)}</caption>"
    return f"<table>\n{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>\n</table>"


def _charts(spans: SpanReport, looks: Mapping[str, Look]) -> Iterator[str]:
    figures = {name: spans.figures[name] for name in looks}
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
    """A little above the largest value, so that it is not drawn on the edge."""
    known = [value for value in values if math.isfinite(value)]
    return min(most, max(0.02, 1.1 * max(known, default=most)))


def _examples(report: AuditReport) -> Iterator[str]:
    if not any(report.examples.values()):
        return
    yield "<article>\n<h2>Best and worst examples</h2>"
    yield "<p>What is known to be wrong has a frame. It should be red, and the rest should not.</p>"
    for name, found in report.examples.items():
        scale = Scale.of(
            float(reward) for one in found for reward in one.rewards
        )  # each label has a strength of its own
        shown = "\n".join(_example(one, scale) for one in found)
        yield f"<details>\n<summary>{text(name)}</summary>\n{legend(scale)}\n{shown}\n</details>"
    yield "</article>"


def _example(one: Example, scale: Scale) -> str:
    item, scored = one.judged.item, one.judged.scored
    prompt = transcript(item.prompt if isinstance(item.prompt, str) else [Message(**m) for m in item.prompt])
    drawn = cells(item.response, scored.tokens, scored.offsets.tolist(), one.rewards.tolist())
    head = f"{one.kind}: {one.set}, {item.id}, AUROC {one.auroc:.2f}"
    return (
        f'<section>\n<h3>{text(head)}</h3>\n<div class="prompt quiet" dir="auto">{text(prompt)}</div>'
        f'\n<div class="response" dir="auto">{"".join(heat(drawn, scale, item.bad))}</div>\n</section>'
    )


def _labels(report: AuditReport) -> str:
    rows = "".join(
        f"<dt>{text(label.name)}</dt><dd>{text(label.estimator.formula)}, under the template"
        f" {text(label.template.name)} ({label.template.hash}), estimator {label.estimator.hash}</dd>"
        for label in report.labels
    )
    return f"<article>\n<h2>The labels</h2>\n<dl>{rows}</dl>\n</article>"
