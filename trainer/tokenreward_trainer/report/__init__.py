"""The report of one run, or of several side by side: one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from tokenreward_trainer.report.charts import curves, scatter
from tokenreward_trainer.report.heat import heat_maps
from tokenreward_trainer.training.run_record import RunRecord

# Responses are text from anywhere: escaped, and even if they were not, the page could not load or run anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def write_report(path: Path, records: Sequence[RunRecord]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(records), "utf-8")


def page(records: Sequence[RunRecord]) -> str:
    """records: the runs to compare, the most important last; all show the same held-out pairs."""
    return document(f"Training report: {title_of(records)}", training_sections(records))


def title_of(records: Sequence[RunRecord]) -> str:
    return " beside ".join(record.name for record in records)


def training_sections(records: Sequence[RunRecord]) -> list[str]:
    """Summary, charts, and heat maps of held-out pairs, as HTML."""
    return [_summary(records), _charts(records), heat_maps(records)]


def document(title: str, sections: Sequence[str]) -> str:
    """A whole page. title: text.  sections: HTML, in which whatever is not ours has been escaped."""
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>",
            *sections,
            "</body>\n</html>\n",
        ]
    )


def final(record: RunRecord, name: str) -> float | None:
    """The last value of a metric that was logged."""
    found = [entry[name] for entry in record.log if name in entry]
    return found[-1] if found else None


_ROWS: Sequence[tuple[str, Callable[[RunRecord], str]]] = (
    ("training pairs", lambda r: str(r.pairs)),
    ("training time", lambda r: f"{r.seconds:.0f} s"),
    ("held-out loss", lambda r: _number(final(r, "eval_loss/preference") or final(r, "eval_loss"))),
    ("held-out reward margin", lambda r: _number(final(r, "eval_rewards/margins"))),
    ("held-out accuracy", lambda r: _number(final(r, "eval_rewards/accuracies"))),
    ("held-out correlation with labels", lambda r: _number(final(r, "eval_token_rewards/correlation"))),
    ("training correlation with labels", lambda r: _number(final(r, "token_rewards/correlation"))),
)


def _summary(records: Sequence[RunRecord]) -> str:
    head = "".join(f"<th scope='col'>{escape(record.name)}</th>" for record in records)
    rows = [(name, [value(record) for record in records]) for name, value in _ROWS]
    options = sorted({name for record in records for name in record.options})
    rows += [(name, [str(record.options.get(name, "")) for record in records]) for name in options]
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for name, values in rows
        if any(value not in ("", "-") for value in values)
    )
    return (
        f"<p>{_origin(records[-1])}</p>\n<table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>\n"
        "<p class='quiet'>Loss: the preference part alone. Correlation: Pearson's, over tokens, between learned token "
        "rewards, &beta; log &pi;/&pi;<sub>ref</sub>, and the labels.</p>"
    )


def _origin(record: RunRecord) -> str:
    known = record.provenance
    if known is None:
        return escape(f"Labels: {record.labels}.")
    worker = known["fingerprint"]
    return escape(
        f"Labels: {worker['model']} ({worker['engine']} {worker['engine_version']}, {worker['dtype']}), template "
        f"{known['template']}, estimator {known['estimator']}, tokenreward {known['tokenreward_version']}."
    )


def _charts(records: Sequence[RunRecord]) -> str:
    pictures = [curves(records)]
    if any(response.labels for record in records for pair in record.examples for response in pair.responses):
        pictures.append(scatter(records))
    return "<h2>Training</h2>\n" + "\n".join(
        f'<figure><img src="{uri}" alt="{escape(alt)}"><figcaption>{escape(alt)}</figcaption></figure>'
        for uri, alt in pictures
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
