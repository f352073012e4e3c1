"""The table at the top of a training report: results and options of every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from tokenreward_trainer.training.run_record import RunRecord


def summary(records: Sequence[RunRecord]) -> str:
    """Returns the table of results and options, one column a run, and where the labels come from, as HTML."""
    rows = [(name, [value(record) for record in records]) for name, value in _ROWS]
    rows += _options(records)
    return (
        f"<p>{_origin(records[-1])}</p>\n{_table(records, rows)}\n"
        "<p class='quiet'>Loss: the preference part alone. Correlation: Pearson's, over tokens, between learned token "
        "rewards, &beta; log &pi;/&pi;<sub>ref</sub>, and the labels.</p>"
    )


def options_table(records: Sequence[RunRecord]) -> str:
    """Returns the table of options alone, one column a run, as HTML."""
    return _table(records, _options(records))


def _options(records: Sequence[RunRecord]) -> list[tuple[str, list[str]]]:
    names = sorted({name for record in records for name in record.options})
    return [(name, [str(record.options.get(name, "")) for record in records]) for name in names]


def _table(records: Sequence[RunRecord], rows: Sequence[tuple[str, list[str]]]) -> str:
    head = "".join(f"<th scope='col'>{escape(record.name)}</th>" for record in records)
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for name, values in rows
        if any(value not in ("", "-") for value in values)
    )
    return f"<div class='wide'><table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _origin(record: RunRecord) -> str:
    known = record.provenance
    if known is None:
        return escape(f"Labels: {record.labels}.")
    worker = known["fingerprint"]
    return escape(
        f"Labels: {worker['model']} ({worker['engine']} {worker['engine_version']}, {worker['dtype']}), template "
        f"{known['template']}, estimator {known['estimator']}, tokenreward {known['tokenreward_version']}."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


_ROWS: Sequence[tuple[str, Callable[[RunRecord], str]]] = (
    ("training pairs", lambda r: str(r.pairs)),
    ("held-out pairs", lambda r: str(r.held_out)),
    ("training time", lambda r: f"{r.seconds:.0f} s"),
    ("held-out loss", lambda r: _number(r.final("eval_loss/preference", "eval_loss"))),
    ("held-out reward margin", lambda r: _number(r.final("eval_rewards/margins"))),
    ("held-out accuracy", lambda r: _number(r.final("eval_rewards/accuracies"))),
    ("held-out correlation with labels", lambda r: _number(r.final("eval_token_rewards/correlation"))),
    ("training correlation with labels", lambda r: _number(r.final("token_rewards/correlation"))),
)
