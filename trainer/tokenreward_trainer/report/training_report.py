"""The report of one training run, or of several side by side: one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenreward.html.document import text
from tokenreward_trainer.report.charts import curves, scatter
from tokenreward_trainer.report.conclusion import conclusion
from tokenreward_trainer.report.heat import heat_maps
from tokenreward_trainer.report.page import page_of
from tokenreward_trainer.report.summary import summary
from tokenreward_trainer.training.run_record import RunRecord


def write_report(path: Path, records: Sequence[RunRecord]) -> None:
    """Writes the report.

    Args:
        path: The HTML file.
        records: The runs to compare, the most important last; all show the same held-out pairs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    page = page_of(f"Training report: {title_of(records)}", [conclusion(records), *training_sections(records)])
    path.write_text(page, "utf-8")


def title_of(records: Sequence[RunRecord]) -> str:
    """Names the runs, as in `DPO beside DPO-REG`."""
    return " beside ".join(record.name for record in records)


def training_sections(records: Sequence[RunRecord]) -> list[str]:
    """Returns summary, charts, and heat maps of held-out pairs, as HTML."""
    return [summary(records), _charts(records), heat_maps(records)]


def _charts(records: Sequence[RunRecord]) -> str:
    charts = [curves(records)]
    if any(response.labels for record in records for pair in record.examples for response in pair.responses):
        charts.append(scatter(records))
    return "<h2>Training</h2>\n" + "\n".join(
        f'<figure><img class="chart" src="{chart.uri}" alt="{text(chart.description)}">'
        f"<figcaption>{text(chart.description)}</figcaption></figure>"
        for chart in charts
    )
