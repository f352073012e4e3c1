"""What trained labelers learn from: edits, corruptions, and their targets token by token."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_checkpoint import chat_tokenizer
from tokenreward.audit import builtin
from tokenreward.chat_format import ChatFormat
from tokenreward.checkpoint.token_classifier import CLASSES
from tokenreward.errors import BadInput
from tokenreward_trainer.labeler.corrections import corrections
from tokenreward_trainer.labeler.corruptions import corrupted, with_error
from tokenreward_trainer.labeler.edit_files import read_edits
from tokenreward_trainer.labeler.edits import Edit, data_hash
from tokenreward_trainer.labeler.run import gathered
from tokenreward_trainer.labeler.settings import LabelerSettings
from tokenreward_trainer.labeler.token_classes import IGNORED, classified
from tokenreward_trainer.labeler.worked_sums import made_edits

EDIT = Edit("What is 2+2?", "It is 5, I say.", "It is 4, I say.")


AUDITED = builtin.twins("number")[0].prompt


def in_parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text[:5]}, {"type": "text", "text": text[5:]}]


@pytest.fixture(scope="module")
def chat() -> ChatFormat:
    return ChatFormat.from_pretrained_tokenizer(chat_tokenizer())


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_tokens_that_an_edit_takes_out_are_negative_and_those_that_it_puts_in_positive(chat: ChatFormat) -> None:
    worse, better = classified(EDIT, chat)
    for example, text, name in ((worse, EDIT.worse, "negative"), (better, EDIT.better, "positive")):
        classes = [label for label in example["labels"] if label != IGNORED]
        assert len(example["labels"]) == len(example["input_ids"])
        assert len(classes) == len(text), "a token of this tokenizer is a byte; the end of turn has no class"
        assert [CLASSES[label] for label in classes] == ["neutral"] * 6 + [name] + ["neutral"] * 8


def test_a_corrector_learns_the_better_text_behind_the_prompt_of_the_template(chat: ChatFormat) -> None:
    for example, shown in zip(corrections(EDIT, chat), (EDIT.worse, EDIT.better), strict=True):
        learned = [token for token, label in zip(example["input_ids"], example["labels"], strict=True) if label >= 0]
        assert learned == chat.answer_ids(EDIT.better)
        read = chat.tokenizer.decode(example["input_ids"][: -len(learned)])
        assert f"[Solution]\n{shown}" in read
        assert "Correct this solution" in read


def test_files_of_pairs_and_of_revisions_are_edits(tmp_path: Path) -> None:
    pair = {"prompt": "p", "chosen": "good one", "rejected": "bad one"}
    revised = {"prompt": "p", "response": "bad two", "revised": "good two"}
    original = {"prompt": "p", "response": [{"role": "assistant", "content": "good three"}], "original": "bad three"}
    found = read_edits(written(tmp_path / "a.jsonl", pair, revised, original))
    assert [(edit.worse, edit.better) for edit in found] == [(f"bad {n}", f"good {n}") for n in ("one", "two", "three")]


def test_a_prompt_may_be_messages_in_parts(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": in_parts("How many are there?")}]
    (edit,) = read_edits(written(tmp_path / "a.jsonl", {"prompt": prompt, "chosen": "good", "rejected": "bad"}))
    assert edit.prompt == prompt


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "p", "response": "r"}, "line 1: the columns are 'prompt', 'response'; a labeler learns from"),
        ({"prompt": "p", "chosen": "", "rejected": "r"}, "line 1, field 'chosen': '' is not a response's text"),
        ({"prompt": AUDITED, "chosen": "c", "rejected": "r"}, "have to stay unseen"),
        (
            {"prompt": [{"role": "user", "content": in_parts(AUDITED)}], "chosen": "c", "rejected": "r"},
            "have to stay unseen",
        ),
    ],
)
def test_what_is_no_edit_is_named(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as error:
        read_edits(written(tmp_path / "a.jsonl", row))
    assert says in str(error.value)


def test_a_corruption_is_one_error_and_the_same_every_time() -> None:
    clean = [edit for edit in made_edits(40, 0) if "crates" in edit.worse or "boxes" in edit.better]
    found = corrupted(clean, 30, seed=1)
    assert len(found) == 30
    assert found == corrupted(clean, 30, seed=1) != corrupted(clean, 30, seed=2)
    assert all(edit.worse != edit.better and edit.kept > 0.5 for edit in found)
    assert with_error("Hm", random.Random(0), [], []) is None
    kinds = {with_error("The cat is 12 years old. So it says.", random.Random(n), ["house"], []) for n in range(40)}
    assert len(kinds) > 5


def test_made_edits_are_none_of_the_audits_material() -> None:
    made = made_edits(300, 0)
    assert len(made) == 300
    audited = {text for name in builtin.NAMES for twin in builtin.twins(name) for text in (twin.prompt, twin.clean)}
    assert not audited & {text for edit in made for text in (str(edit.prompt), edit.worse, edit.better)}


def test_pairs_that_share_little_are_no_edits_and_are_counted(tmp_path: Path) -> None:
    other = {"prompt": "p", "chosen": "Paris, of course.", "rejected": "I do not know that."}
    path = written(tmp_path / "a.jsonl", {"prompt": "p", "chosen": EDIT.better, "rejected": EDIT.worse}, other)
    found = gathered([path], LabelerSettings())
    assert [edit.worse for edit in found.edits] == [EDIT.worse]
    assert found.left_out == 1
    more = gathered([path], LabelerSettings(corruptions=3, made=5))
    assert len(more.edits) == 1 + 3 + 5
    assert data_hash(more.edits) != data_hash(found.edits)
    with pytest.raises(BadInput, match="nothing to learn from"):
        gathered([], LabelerSettings())
