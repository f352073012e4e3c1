"""Generated prompts: the same from the same seed, never twice, and each with a check that a right answer passes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tokenreward import cli
from tokenreward.errors import BadInput, UnknownName
from tokenreward_trainer.prompts import FAMILIES, Part, parts_of, prompt_rows
from tokenreward_trainer.scorers.verify import verified

EVERYTHING = parts_of(list(FAMILIES))


def test_a_seed_gives_the_same_prompts_and_another_seed_others() -> None:
    first, again, other = (prompt_rows(EVERYTHING, 60, seed) for seed in (1, 1, 2))
    assert first == again
    assert [row["prompt"] for row in first] != [row["prompt"] for row in other]


def test_a_longer_set_begins_with_the_shorter_one() -> None:
    assert prompt_rows(EVERYTHING, 90)[:30] == prompt_rows(EVERYTHING, 30)


def test_no_prompt_comes_twice_and_ids_name_their_place() -> None:
    rows = prompt_rows(EVERYTHING, 600)
    assert len({row["prompt"] for row in rows}) == len({row["id"] for row in rows}) == 600
    twice = prompt_rows(parts_of(["arithmetic:1", "arithmetic:1", "format:1"]), 9)
    assert len({row["id"] for row in twice}) == 9
    assert sum(row["family"] == "arithmetic" for row in twice) == 6


@pytest.mark.parametrize("part", parts_of(["arithmetic"]), ids=lambda part: f"level {part.level}")
def test_the_answer_of_a_word_problem_passes_its_check_and_another_number_does_not(part: Part) -> None:
    for row in prompt_rows([part], 40):
        answer = row["check"]["answer"]
        assert answer > 0
        assert verified(f"They have 3 and 4, so {answer}.", row["check"], "here") == 1
        assert verified(f"They have {answer}, or rather {answer + 1}.", row["check"], "here") == 0


def test_word_problems_have_the_answer_that_their_numbers_give() -> None:
    for row in prompt_rows(parts_of(["arithmetic:5"]), 40):
        bags, each, more = map(int, re.findall(r"\d+", row["prompt"]))
        assert row["check"]["answer"] == bags * each + more


@pytest.mark.parametrize("part", parts_of(["format"]), ids=lambda part: f"level {part.level}")
def test_every_instruction_about_form_can_be_kept_and_broken(part: Part) -> None:
    for row in prompt_rows([part], 40):
        wanted = {constraint["name"]: constraint for constraint in row["check"]["constraints"]}
        count = wanted.get("sentences", {}).get("exactly", 1)
        kept = " ".join([f"It is good {wanted.get('contains', {}).get('word', '')}."] * count)
        kept = kept.upper() if "uppercase" in wanted else kept.lower() if "lowercase" in wanted else kept
        assert verified(kept, row["check"], "here") == 1, row
        broken = "Zebras, aGAIN! " * 50
        assert verified(broken, row["check"], "here") < 1, row


def test_what_is_asked_for_wrongly_is_named() -> None:
    with pytest.raises(UnknownName, match="'geometry'; known: arithmetic, format"):
        parts_of(["geometry"])
    with pytest.raises(BadInput, match="'format:9': the levels of format are 1 to"):
        parts_of(["format:9"])
    with pytest.raises(BadInput, match="no prompts are asked for"):
        parts_of([])


def test_a_part_that_has_no_more_to_give_says_so() -> None:
    with pytest.raises(BadInput, match=r"format:1 has no more than \d+ different prompts"):
        prompt_rows(parts_of(["format:1"]), 100_000)


def test_the_command_writes_them(tmp_path: Path) -> None:
    out = tmp_path / "sub" / "prompts.jsonl"
    assert cli.main(["prompts", "arithmetic:1", "format:5", "--count", "4", "--seed", "7", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["arithmetic-1-0", "format-5-0", "arithmetic-1-1", "format-5-1"]
