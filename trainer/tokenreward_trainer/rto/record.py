"""What a finished RTO run leaves: run.json, as other trainings do, and a page."""

from __future__ import annotations

from pathlib import Path

from tokenreward.html.document import text
from tokenreward_trainer.report.charts import curves
from tokenreward_trainer.report.page import page_of
from tokenreward_trainer.report.summary import options_table
from tokenreward_trainer.rto.settings import RtoRun
from tokenreward_trainer.training.run_record import RunRecord

#: Title, label of the axis, and the logged numbers of which the first that is there is drawn.
_PANELS = (
    ("score of the responses", "mean", ("score",)),
    ("KL to the reference", "nats a response", ("kl",)),
    ("value head", "explained variance", ("value/explained",)),
    ("length", "tokens a response", ("tokens",)),
)


def leave_record(folder: Path, run: RtoRun, log: list[dict[str, float]], layout: str) -> Path:
    """Writes run.json and report.html; returns the page's path.

    Args:
        folder: The run's directory.
        run: The settings.
        log: One entry an iteration.
        layout: The batch layout.
    """
    origin = {
        "dpo": f"log-ratio of {run.rewards.dpo} to the reference, by the trainer",
        "service": f"estimator {run.rewards.estimator} of the service at {run.rewards.url}",
        "none": "none",
    }[run.rewards.source]
    record = RunRecord(
        name="PPO" if run.rewards.source == "none" else "RTO",
        options=run.ppo.model_dump() | run.rewards.model_dump(include={"scorer", "scale", "clip", "kl", "sequence"}),
        labels=origin,
        provenance=None,
        log=log,
        seconds=sum(entry["seconds"] for entry in log),
        pairs=run.ppo.prompts * run.sample.n * len(log),
        layout=layout,
        examples=[],
    )
    record.write(folder / "run.json")
    report = folder / "report.html"
    report.write_text(page_of(f"Training report: {record.name}", [section_of(record)]), "utf-8")
    return report


def section_of(record: RunRecord) -> str:
    """Returns what a page says of a run: words, options and curves.

    Args:
        record: Its record.
    """
    log = record.log
    chart = curves([record], _PANELS)
    words = (
        f"{len(log)} iterations on {record.pairs} responses in {record.seconds:.0f} s. The mean score of what the "
        f"policy sampled was {log[0]['score']:.3f} in the first and {log[-1]['score']:.3f} in the last. Dense rewards: "
        f"{record.labels}."
    )
    figure = f'<figure><img class="chart" src="{chart.uri}" alt="{text(chart.description)}"></figure>'
    return f"<p>{text(words)}</p>{options_table([record])}{figure}"
