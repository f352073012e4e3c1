"""What a reasoning model thinks is no part of its answer, for checks and judges alike."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tokenreward_trainer.evaluation.answers import Answer, Answers
from tokenreward_trainer.evaluation.judging.comparisons import _texts
from tokenreward_trainer.evaluation.output.formats import alpaca_row, arena_row, write_formats
from tokenreward_trainer.ranking.groups import Sampled, responses_of
from tokenreward_trainer.scorers import Group, scorer_of
from tokenreward_trainer.scorers.final_answer import answer_of, begun_by
from tokenreward_trainer.scorers.final_number import right


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("no thought at all ", "no thought at all "),
        ("<think>\nIt is 12.\n</think>\n\nTwelve.", "Twelve."),
        ("It is 12, so\n</think>\n\nTwelve.", "Twelve."),  # The generation prompt had opened it.
        ("<think>a</think> no, <think>b</think> yes", "yes"),
        ("<think>\nIt is 12", ""),
        ("<think>a</think> wait <think>b", ""),
        ("12 <think>", ""),
        ("</think>", ""),
        ("<thinking>a</thinking>b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("◁think▷a◁/think▷b", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b"),
        ("<|channel|>analysis<|message|>a", ""),
        ("analysisWe need 12.assistantfinalTwelve.", "Twelve."),
        ("analysisWe need", ""),
        ("analysis of the text", "analysis of the text"),
        ("The `<think>` tag opens a thought.", "The `<think>` tag opens a thought."),
    ],
)
def test_the_answer_stands_behind_the_thought(text: str, answer: str) -> None:
    assert answer_of(text) == answer


@pytest.mark.parametrize(
    ("prompt", "begun"),
    [
        ("<｜User｜>2+2?<｜Assistant｜><think>\n", "<think>\n"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),  # The thought is switched off.
        ("<|im_start|>user\nWhat is <think><|im_end|>\n<|im_start|>assistant\n", ""),
        ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>analysis<|message|>"),
        ("<s>[INST]2+2?[/INST]", ""),
    ],
)
def test_a_prompt_may_open_the_thought(prompt: str, begun: str) -> None:
    assert begun_by(prompt) == begun
    assert not begun or answer_of(begun + "It is 12") == ""


def test_numbers_and_words_are_those_of_the_answer() -> None:
    assert right("<think>\nMaybe 14? No. 3*4 is 12", 12) == 0.0
    assert right("<think>\nIt is 12.\n</think>\n\nI cannot say.", 12) == 0.0
    assert right("It is 13? No.\n</think>\n\n12", 12) == 1.0
    thought = "<think>\none two three FOUR five six seven\n</think>\n\nblue sky."
    constraints = [{"name": "words", "most": 5}, {"name": "lowercase"}]
    for scorer, row in (
        ("constraints", {"constraints": constraints}),
        ("verify", {"check": {"kind": "constraints", "constraints": constraints}}),
    ):
        group = Group("p", [thought, thought.partition("</think>")[0]], [[1], [1]], row, "row 0")
        assert scorer_of(scorer).score([group]) == [[1.0, 0.0]]


def test_judges_and_files_for_other_tools_get_answers_without_thoughts(tmp_path: Any) -> None:
    answer = Answer("<think>long **bold** thought</think>\nShort.", (1, 2), True)
    path = tmp_path / "one.jsonl"
    path.touch()
    answers = Answers("one", path, [{"prompt": "p", "id": "1"}], [[answer]], {})
    assert _texts(answers) == ["Short."]
    cut_off = dataclasses.replace(answer, text="long thought", finished=False, begun="<think>\n")
    assert _texts(dataclasses.replace(answers, given=[[cut_off]])) == [""]
    write_formats([answers], tmp_path, "set")
    for file in tmp_path.rglob("one.json*"):
        assert "thought" not in file.read_text()
    assert alpaca_row({"prompt": "p"}, answer, "one", "set")["output"] == answer.text  # As it is given.
    assert arena_row({"prompt": "p"}, answer, "one", 0.0)["metadata"]["token_len"] == 2


def test_a_response_of_a_stronger_model_stands_behind_the_same_prompt() -> None:
    own = {"text": "Sum.</think>It is 12", "token_ids": [1, 2], "finished": True, "begun": "<think>\n"}
    cut_off = Sampled("Maybe 12", (3,), False, "extra")
    group = responses_of({"prompt": "3*4?", "responses": [own], "answer": 12}, "row 0", [cut_off], False).group
    assert scorer_of("final_number:answer").score([group]) == [[1.0, 0.0]]
