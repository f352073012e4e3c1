"""What `benchmarks/audit.py` gives responses as context, and the template that it adds."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from benchmarks import _gsm8k_contexts
from tokenreward import templates
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
