"""What `benchmarks/audit.py` gives responses as context, the template that it adds, and where figures go."""

from __future__ import annotations

import contextlib
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _gsm8k_contexts, _report, labelers
from tokenreward import cli, templates
from tokenreward.audit.contents import Content
from tokenreward.schema import Template

ROOT = Path(__file__).parents[2]


def injected(prompt: str, response: str, original: str) -> dict[str, Any]:
    return {"prompt": prompt, "response": response, "bad_spans": [[0, 1]], "original": original}


def solved(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def test_hints_are_other_students_and_never_what_is_scored_or_what_it_was_made_from() -> None:
    rows = [injected("p", "It is 5.", "It is 4."), injected("q", "Six.", "Seven."), injected("r", "1", "2")]
    others = [
        solved("p", "It is 4. ", "It is 5."),
        solved("p ", "Four.", "Nine."),
        solved("p", "Four.", "Ten."),
        solved("q", "Seven.", "Eight."),
    ]
    (found,) = _gsm8k_contexts.rows(rows, others)
    assert found["context"] == {
        "right": "Four.",
        "wrong": ["Nine.", "Ten."],
        "reference": "Four.",
        "unrelated": ["q", "r"],
        "feedback": "The solution has a mistake. Its last line should be: Four.",
        "outcome": "wrong",
        "revised": "It is 4.",
    }


def test_data_that_are_not_there_make_no_set(tmp_path: Path) -> None:
    assert _gsm8k_contexts.write_set(tmp_path, tmp_path / "out") is None


def test_the_added_template_says_what_the_shipped_ones_say() -> None:
    shown = Template(**tomllib.loads((ROOT / "benchmarks" / "shown_solution.toml").read_text("utf-8")))
    reference, evidence = templates.resolve("reference"), templates.resolve("evidence")
    assert Content.of(shown, "plain") == Content.of(reference, "privileged")
    assert Content.of(shown, "null") == Content.of(evidence, "null")


def test_what_labelers_measure_leaves_the_figures_of_the_audit_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_report, "ROOT", tmp_path)
    monkeypatch.setattr(labelers, "_OUT", tmp_path / "labelers")
    monkeypatch.setattr(labelers.audit, "serving_labelers", lambda *_: contextlib.nullcontext(("url", "model")))
    monkeypatch.setattr(cli, "main", measured)
    monkeypatch.setattr(sys, "argv", ["labelers.py", "--skip-training"])
    for kind in ("classifier", "corrector"):
        written(tmp_path / "labelers" / kind / "labeler.json", {"seconds": 1, "data_sha256": "d", "edits": 2})
    own = written(tmp_path / "build" / "audit.json", {"figures": "of make audit"})
    assert labelers.main() == 0
    assert json.loads(own.read_text()) == {"figures": "of make audit"}
    assert _report.read("labelers-audit")["auroc"] == _report.read("labelers")["audit"]["auroc"] == AUROC
    assert labelers.audit.main(["--builtin-only", "--out", str(tmp_path / "out")]) == 0
    assert _report.read("audit")["auroc"] == AUROC


AUROC = {"number": {"surprisal": [0.6, 0.5, 0.7], "tlcr@classifier": [0.7, 0.6, 0.8]}}


def measured(command: list[str]) -> int:
    """`tokenreward audit`, which finds the same every time."""
    place = Path(command[command.index("--json") + 1] if "--json" in command else command[command.index("--out") + 1])
    path = place if place.suffix else place / "audit.json"
    written(path, {"figures": {"auroc": AUROC, "same_place": AUROC, "pairs": AUROC}})
    return 0


def written(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
