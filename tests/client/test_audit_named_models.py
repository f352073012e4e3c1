"""What an audit does about what it was asked for by name: models of a template, and estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from tests.support.character_client import FINGERPRINT, CharacterClient, served
from tokenreward import Client, estimators, templates
from tokenreward.audit import plan
from tokenreward.audit.auditing import audit
from tokenreward.audit.output.json_report import figures
from tokenreward.audit.output.kept_verdicts import kept_verdicts
from tokenreward.audit.output.table import draw
from tokenreward.audit.report import AuditReport
from tokenreward.audit.score_store import ScoreStore
from tokenreward.audit.sets import SpanItem, SpanSet
from tokenreward.dataset.progress import Quiet

SETS = [SpanSet("mine", tuple(SpanItem(str(n), f"p{n}", f"It is {n}, so.", ((6, 7),)) for n in range(4)))]


def labels(template: str, *names: str) -> list[plan.Label]:
    return plan.labels([templates.resolve(template)], [estimators.resolve(name) for name in names])


def audited(client: CharacterClient, wanted: list[plan.Label], engine: str = "vllm", **options: Any) -> AuditReport:
    model = served(FINGERPRINT.model_copy(update={"engine": engine}))
    return audit(cast(Client, client), SETS, wanted, model=model, progress=Quiet(), resamples=20, **options)


@pytest.mark.parametrize(("template", "again"), [("strong-weak", 1), ("opposite", 0)])
def test_a_template_that_names_models_is_asked_for_anew_as_an_adapter_may_have_changed(
    template: str, again: int, tmp_path: Path
) -> None:
    wanted = [label for label in labels(template, "contrast", "surprisal") if label.estimator.name == "contrast"]
    for _ in range(2):
        client = CharacterClient()
        report = audited(client, wanted, store=ScoreStore(tmp_path))
    assert len(client.asked) == again
    assert len(kept_verdicts(report)) == 1 - again


def test_an_estimator_that_was_asked_for_and_the_model_cannot_serve_is_left_out_with_the_reason() -> None:
    wanted = labels("plain", "z_word", "lp_word", "tlcr")
    report = audited(CharacterClient(), wanted, "remote", named=["z_word", "lp_word"])
    assert [label.name for label in report.labels] == ["lp_word"]
    assert "needs the moments of predictions" in figures(report)["left_out"]["mine"]["z_word"]
    assert report.unfit.keys() == {"z_word"}, "nobody asked for tlcr"
    console = Console(width=200)
    with console.capture() as shown:
        draw(console, report)
    assert "left out: z_word: estimator 'z_word' needs the moments of predictions" in shown.get()
    assert figures(audited(CharacterClient(), wanted, "remote"))["left_out"] == {}
