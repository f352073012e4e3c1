"""An audit in a terminal: one table for each set, a row for each label, and what follows from it in words."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokenreward.audit.bootstrap import Interval, Sampled
from tokenreward.audit.pairs import PairReport
from tokenreward.audit.report import is_baseline, verdicts
from tokenreward.audit.spans import SpanReport
from tokenreward.audit.study import OVERALL, AuditReport
from tokenreward.show.visible import visible

_SHOWN_FAILURES = 5


def draw(console: Console, report: AuditReport) -> None:
    fingerprint = report.fingerprint
    head = f"{fingerprint.model}, engine {fingerprint.engine} {fingerprint.engine_version} in {fingerprint.dtype}"
    _say(console, f"{head}; 95% intervals from {report.resamples} resamples of responses")
    for spans in report.spans:
        console.print(_span_table(spans))
    if len(report.spans) > 1:
        console.print(_overall_table(report))
    for pairs in report.pairs:
        console.print(_pair_table(pairs))
    _say(console, "")
    for label in report.labels:
        _verdicts(console, report, label.name)
    if report.failures:
        _say(console, f"{len(report.failures)} responses or pairs could not be scored and count nowhere:")
        for failure in report.failures[:_SHOWN_FAILURES]:
            _say(console, f"  {failure.set}, {failure.id}: {failure.reason}")


def _span_table(one: SpanReport) -> Table:
    share = one.bad_tokens / one.tokens
    table = _table(f"{one.name}: {one.responses} responses, {one.tokens} tokens, {share:.1%} of them bad")
    for name in ("AUROC", "stratified", "gain", "per response", "avg. precision", "sign", "inside", "outside"):
        table.add_column(name, justify="right")
    for label, found in one.figures.items():
        table.add_row(
            _name(label),
            _interval(found.auroc),
            _interval(found.stratified),
            "" if label == "surprisal" else _signed(found.gain),
            _number(found.per_response.value),
            _number(found.average_precision.value),
            _number(found.sign_accuracy),
            "" if is_baseline(label) else f"{found.inside:+.3f}",
            "" if is_baseline(label) else f"{found.outside:+.3f}",
        )
    return table


def _overall_table(report: AuditReport) -> Table:
    table = _table(f"{OVERALL}: the mean over {len(report.spans)} sets")
    for name in ("AUROC", "stratified", "gain"):
        table.add_column(name, justify="right")
    for label, found in report.overall.items():
        gain = "" if label == "surprisal" else _signed(found.gain)
        table.add_row(_name(label), _interval(found.auroc), _interval(found.stratified), gain)
    return table


def _pair_table(one: PairReport) -> Table:
    table = _table(f"{one.name}: {one.pairs} pairs, chosen is longer in {one.longer:.0%}; how often it is preferred")
    for name in ("by mean", "length-controlled", "gain", "by sum", "length-controlled"):
        table.add_column(name, justify="right")
    for label, found in one.figures.items():
        table.add_row(
            _name(label),
            _interval(found.mean),
            _interval(found.mean_controlled),
            "" if label == "surprisal" else _signed(found.gain),
            _interval(found.total),
            _interval(found.total_controlled),
        )
    return table


def _verdicts(console: Console, report: AuditReport, label: str) -> None:
    words = verdicts(report, label)
    if OVERALL in words and len(report.spans) > 1:
        _say(console, f"{label}: {words[OVERALL]}.", "bold")
    else:
        _say(console, f"{label}:", "bold")
    for name, said in words.items():
        if name != OVERALL:
            _say(console, f"  {name}: {said}.")


def _table(title: str) -> Table:
    table = Table(title=Text(visible(title)), title_justify="left", title_style="bold")
    table.add_column("label")
    return table


def _name(label: str) -> Text:
    return Text(f"{label} (baseline)", "dim") if is_baseline(label) else Text(label)


def _interval(sampled: Sampled) -> str:
    found: Interval = sampled.interval
    if math.isnan(found.value):
        return "-"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _signed(sampled: Sampled) -> str:
    found = sampled.interval
    if math.isnan(found.value):
        return "-"
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(visible(line), style), highlight=False, soft_wrap=not console.is_terminal)
