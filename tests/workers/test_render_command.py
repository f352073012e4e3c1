"""`tokenreward render`: what a worker scores and the trainer trains on, row by row, from a tokenizer alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.chat_templates import tokenizer_of
from tokenreward.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing but a tokenizer, whose chat template trims and thinks."""
    path = tmp_path_factory.mktemp("model")
    tokenizer_of("qwen 3").save_pretrained(path)
    return path


def rendered(model: Path, folder: Path, capsys: pytest.CaptureFixture[str], *rows: dict[str, Any]) -> tuple[int, str]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status = main(["render", str(path), "--model", str(model), "--ids"])
    return status, capsys.readouterr().out


def test_each_branch_and_the_response_are_shown_with_ids_and_offsets(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = rendered(model, tmp_path, capsys, {"prompt": "Why?", "response": "\nBecause."})
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "row 0, response"
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == [
        *("better", "worse", "plain", "response", "trainer")
    ]
    assert "  plain     '<|im_start|>user\\nWhy?<|im_end|>\\n<|im_start|>assistant\\n'" in lines
    assert "  response  '<think>\\n\\n</think>\\n\\nBecause.<|im_end|>'" in lines
    assert lines[-2] == "  trainer   the same"
    (full_stop,) = (line.split() for line in lines if line.endswith("'.'"))
    assert full_stop[1:3] == ["8", "9"]


def test_a_row_that_cannot_be_read_has_the_reason_in_its_place(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thought = "<think>a</think>b<think>c</think>d"
    status, out = rendered(model, tmp_path, capsys, *({"prompt": "a", "response": text} for text in (thought, "b")))
    assert status == 0
    assert "refused   invalid_item: the model's chat template leaves out or rewrites some of this answer" in out
    assert "row 1, response\n  better" in out


def test_labels_of_other_ids_are_a_difference(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"prompt": "a", "response": "b", "token_ids": [1, 2], "token_rewards": [0.1, 0.2], "token_error": None}
    status, out = rendered(model, tmp_path, capsys, row)
    assert status == 1
    assert "differs   the file's label is of " in out


def test_a_token_beyond_the_embedding_is_refused_by_the_model_s_configuration(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 300}))
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    status, out = rendered(tmp_path, tmp_path, capsys, {"prompt": "a", "response": "b"})
    assert "token_out_of_vocabulary" in out
    assert status == 1


def test_every_turn_of_a_conversation_is_read_as_it_is_scored(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [("user", "Why?"), ("assistant", "So."), ("user", "Sure?"), ("assistant", "Yes.")]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": [{"role": role, "content": text} for role, text in said]}) + "\n")
    assert main(["render", str(path), "--model", str(model)]) == 0
    assert "So." not in next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  response"))
    assert main(["render", str(path), "--model", str(model), "--score", "all"]) == 0
    out = capsys.readouterr().out
    response = next(line for line in out.splitlines() if line.startswith("  response"))
    assert response.index("So.") < response.index("Sure?") < response.index("Yes.")
    assert out.splitlines()[-2] == "  trainer   the same"


def test_each_response_of_a_list_is_read(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = rendered(model, tmp_path, capsys, {"prompt": "a", "responses": ["b", "c"]})
    assert status == 0
    assert out.count("row 0, responses") == 2
