"""The audit as one HTML page that needs nothing else: verdicts, tables, charts and heat maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tokenreward.audit.output.grids import (
    Grid,
    kind_grid,
    length_grid,
    overall_grid,
    pair_grid,
    pairs_grids,
    span_grid,
    summary_grids,
)
from tokenreward.audit.output.line_charts import Look, key
from tokenreward.audit.output.page_charts import charts, looks_of
from tokenreward.audit.output.page_examples import examples
from tokenreward.audit.output.verdict_lines import first_lines, grouped, left_out, origin, pair_verdicts, verdicts
from tokenreward.audit.report import OVERALL, AuditReport
from tokenreward.html.document import document, text

_INTRODUCTION = (
    "Do the rewards stand lowest on the tokens that are wrong? AUROC: how often a bad token's reward is below a good"
    " one's; 0.5 is chance. Same place, step, kind, shown: only tokens that are alike in this are compared, so that"
    " knowing it gains nothing; same task: only those at the same place of responses to the same kind of task;"
    " stratified: only tokens that are about equally likely. Gain: AUROC less that of surprisal, on the same responses."
    " Drift: how much higher good tokens' rewards are at the end than at the start."
)


def page(report: AuditReport) -> str:
    """Return the whole document."""
    looks = looks_of(report)
    head = [f"<p>{text(_INTRODUCTION)}</p>", f'<p class="quiet">{text(origin(report))}</p>']
    return document("Audit of token rewards", head, _body(report, looks))


def _body(report: AuditReport, looks: Mapping[str, Look]) -> Iterator[str]:
    yield "<article>\n<h2>What follows</h2>"
    yield from (f"<p><b>{text(line)}</b></p>" for line in first_lines(report))
    yield "<dl>"
    for label in report.labels:
        yield f"<dt>{text(label.name)}</dt>"
        for words, what in ((verdicts(report, label), ""), (pair_verdicts(report, label), "as pairs: ")):
            if words:
                yield f"<dd><b>{text(what + words[OVERALL])}</b></dd>"
            if len(words) > 2:
                shown = grouped(words).items()
                yield from (f"<dd>{text(what + ', '.join(names) + ': ' + said)}</dd>" for said, names in shown)
    yield "</dl>"
    yield from (f'<p class="quiet">{text(line)}</p>' for line in left_out(report))
    if report.spans:
        yield from map(_table, summary_grids(report, len(report.spans)))
    if len(report.spans) > 1:
        yield _table(overall_grid(report))
    if len(report.pairs) > 1:
        yield from map(_table, pairs_grids(report, len(report.pairs) + 1))
    yield "</article>"
    for spans in report.spans:
        yield f"<article>\n<h2>{text(spans.name)}</h2>\n{_table(span_grid(spans))}"
        yield key([(name, look) for name, look in looks.items() if name in spans.figures])
        yield f'<div class="charts">{"".join(charts(spans, looks))}</div>'
        yield _table(kind_grid(spans))
        if (lengths := length_grid(spans)) is not None:
            yield _table(lengths)
        yield "</article>"
    if report.pairs:
        tables = "\n".join(_table(pair_grid(pairs)) for pairs in report.pairs)
        yield f"<article>\n<h2>Pairs</h2>\n{tables}\n</article>"
    yield from examples(report)
    yield _labels(report)


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{text(name)}</th>" for name in ("label", *grid.columns))
    rows = "\n".join(
        f"<tr{' class=baseline' * row.baseline}><td>{text(row.label)}</td>"
        f"{''.join(f'<td>{text(cell)}</td>' for cell in row.cells)}</tr>"
        for row in grid.rows
    )
    caption = f"<caption>{text(grid.title)}</caption>"
    body = f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>"
    return f'<div class="wide" tabindex="0">\n<table class="figures">\n{caption}\n{body}\n</table>\n</div>'


def _labels(report: AuditReport) -> str:
    rows = "".join(
        f"<dt>{text(label.name)}</dt><dd>{text(label.estimator.formula)}, under the template"
        f" {text(label.template.name)} ({label.template.hash}), estimator {label.estimator.hash}</dd>"
        for label in report.labels
    )
    return f"<article>\n<h2>The labels</h2>\n<dl>{rows}</dl>\n</article>"
