"""Which two of the responses make a pair, what is dropped and counted, and that a killed ranking goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward import cli
from tokenreward.chat_format import ChatFormat
from tokenreward.dataset import read_meta
from tokenreward.errors import BadInput
from tokenreward_trainer.data.labeled_pairs import load_pairs
from tokenreward_trainer.ranking.pair_selection import Candidate, Ranking, choose
from tokenreward_trainer.ranking.rank_file import rank_file, scores_path
from tokenreward_trainer.scorers import Group

Row = dict[str, Any]


class Digits:
    """Scores a response by the number in it; `?` cannot be scored. Counts what it was asked."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.identity: Row = {"scorer": "digits"}
        self.asked: list[str] = []
        self._breaks_at = breaks_at

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        if self._breaks_at is not None and len(self.asked) >= self._breaks_at:
            raise KeyboardInterrupt
        self.asked += [text for group in groups for text in group.responses]
        return [[None if "?" in text else float(text.split()[0]) for text in group.responses] for group in groups]


def response(text: str, length: int = 4, finished: bool = True) -> Row:
    return {"text": text, "token_ids": [*range(10, 9 + length), 2], "finished": finished}


def write(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sampled(path: Path, *groups: Sequence[str | Row]) -> Path:
    return write(
        path,
        [
            {"id": f"g{n}", "prompt": f"p{n}", "responses": [response(r) if isinstance(r, str) else r for r in group]}
            for n, group in enumerate(groups)
        ],
    )


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# ---- the choice --------------------------------------------------------------------------------------------


def candidates(*scores_and_lengths: tuple[float, int]) -> list[Candidate]:
    return [Candidate(index, *pair) for index, pair in enumerate(scores_and_lengths)]


def chosen(found: object) -> tuple[int, int]:
    assert isinstance(found, tuple), found
    return found[0].index, found[1].index


def test_the_best_and_the_worst_make_the_pair() -> None:
    assert chosen(choose(candidates((0.5, 9), (0.9, 9), (0.1, 9), (0.3, 9)), Ranking())) == (1, 2)


def test_groups_without_a_difference_give_no_pair() -> None:
    assert choose(candidates((1, 5)), Ranking()) == "too_few"
    assert choose(candidates((1, 5), (1, 90)), Ranking()) == "all_equal"
    assert choose(candidates((1.0, 5), (0.9, 5)), Ranking(margin=0.2)) == "tied"


def test_of_equal_scores_those_closest_in_length_are_taken_or_the_group_is_dropped() -> None:
    group = candidates((1, 50), (1, 20), (0, 90), (0, 22))
    assert chosen(choose(group, Ranking())) == (1, 3)
    assert choose(group, Ranking(ties="drop")) == "tied"
    assert chosen(choose(candidates((1, 5), (0.5, 5), (0, 5)), Ranking(ties="drop"))) == (0, 2)


def test_a_length_penalty_counts_against_long_responses() -> None:
    group = candidates((1.0, 100), (0.9, 10), (0.0, 10))
    assert chosen(choose(group, Ranking())) == (0, 2)
    assert chosen(choose(group, Ranking(length_penalty=0.01))) == (1, 2)


def test_a_length_penalty_alone_makes_no_pair() -> None:
    assert choose(candidates((1, 5), (1, 500)), Ranking(length_penalty=0.1)) == "all_equal"
    # The two with equal scores differ most, but only by their length.
    assert chosen(choose(candidates((1, 5), (1, 500), (0.5, 100)), Ranking(length_penalty=0.01))) == (2, 1)


def test_a_length_ratio_takes_the_next_best_pair_before_it_drops_the_group() -> None:
    group = candidates((1.0, 100), (0.8, 12), (0.0, 10))
    assert chosen(choose(group, Ranking(max_length_ratio=2))) == (1, 2)
    assert choose(group[::2], Ranking(max_length_ratio=2)) == "length_ratio"


# ---- files -------------------------------------------------------------------------------------------------


def test_pairs_have_the_ids_that_were_sampled_and_dropped_groups_are_counted(tmp_path: Path) -> None:
    samples = sampled(
        tmp_path / "samples.jsonl",
        ["1 a", response("3 b", 7), response("2 c", 5, finished=False)],
        ["1 a", "1 b"],
        ["1 a", "1 a", " "],
        ["1 a", "? b", "4 c"],
    )
    out = tmp_path / "pairs.jsonl"
    done = rank_file(samples, out, Digits())
    first, last = read(out)
    kept = first.pop("responses")
    assert [(r["text"], r["score"], r["finished"]) for r in kept] == [
        ("1 a", 1.0, True),
        ("3 b", 3.0, True),
        ("2 c", 2.0, False),
    ]
    assert kept[1]["token_ids"] == first["chosen_token_ids"]
    assert first == {
        "id": "g0",
        "prompt": "p0",
        "chosen": "3 b",
        "chosen_token_ids": response("", 7)["token_ids"],
        "chosen_finished": True,
        "chosen_score": 3.0,
        "rejected": "1 a",
        "rejected_token_ids": response("")["token_ids"],
        "rejected_finished": True,
        "rejected_score": 1.0,
    }
    assert (last["chosen"], last["rejected"]) == ("4 c", "1 a")
    assert done.counts.rows == 2
    assert done.counts.tally == {
        "group all_equal": 1,
        "group too_few": 1,
        "response empty": 1,
        "response duplicates": 1,
        "response unscored": 1,
    }
    scores = read(scores_path(out))
    assert [group.get("dropped") for group in scores] == [None, "all_equal", "too_few", None]
    assert (scores[0]["chosen"], scores[0]["rejected"]) == (1, 0)
    assert [r["score"] for r in scores[3]["responses"]] == [1.0, None, 4.0]


def test_responses_that_were_cut_off_can_be_left_out(tmp_path: Path) -> None:
    samples = sampled(tmp_path / "s.jsonl", ["1 a", "2 b", response("9 c", finished=False)])
    done = rank_file(samples, tmp_path / "out.jsonl", Digits(), Ranking(finished_only=True))
    assert read(tmp_path / "out.jsonl")[0]["chosen"] == "2 b"
    assert done.counts.tally == {"response unfinished": 1}


def test_chat_prompts_give_chat_pairs(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "p"}]
    samples = write(tmp_path / "s.jsonl", [{"prompt": chat, "responses": [response("1"), response("2")]}])
    rank_file(samples, tmp_path / "out.jsonl", Digits())
    assert read(tmp_path / "out.jsonl")[0]["chosen"] == [{"role": "assistant", "content": "2"}]


def test_no_pair_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    samples = sampled(tmp_path / "s.jsonl", ["1 a", "1 b"], ["2 a", "2 b"])
    with pytest.raises(BadInput, match="no group gave a pair \\(2 x group all_equal\\)"):
        rank_file(samples, tmp_path / "out.jsonl", Digits())
    assert not (tmp_path / "out.jsonl").exists()


def test_a_score_that_is_no_number_is_an_error_that_says_where(tmp_path: Path) -> None:
    samples = sampled(tmp_path / "s.jsonl", ["1 a", "2 b"], ["1 a", "nan b"])
    with pytest.raises(BadInput, match=r"row 1: the scorer gave .*nan.*finite number"):
        rank_file(samples, tmp_path / "out.jsonl", Digits())


def test_a_ranking_that_broke_off_goes_on_without_scoring_anything_twice(tmp_path: Path) -> None:
    groups = [[f"{n % 7} a", f"{n % 5} b"] for n in range(100)]
    samples = sampled(tmp_path / "s.jsonl", *groups)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    rank_file(samples, whole, Digits())
    first, second = Digits(breaks_at=100), Digits()
    with pytest.raises(KeyboardInterrupt):
        rank_file(samples, out, first)
    rank_file(samples, out, second)
    assert first.asked + second.asked == [text for group in groups for text in group]
    assert out.read_bytes() == whole.read_bytes()
    assert scores_path(out).read_bytes() == scores_path(whole).read_bytes()
    assert rank_file(samples, out, Digits()).already
    with pytest.raises(BadInput, match=r"made otherwise \(margin differ\)"):
        rank_file(samples, out, Digits(), Ranking(margin=1))


# ---- one response of a stronger model ----------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path, llama: Callable[..., LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast) -> str:
    llama().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def test_a_stronger_model_s_response_competes_and_is_cut_by_the_policy_s_tokenizer(
    tmp_path: Path, model: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    samples = sampled(tmp_path / "s.jsonl", ["1 a", "2 b"], ["5 a", "6 b"], ["1 a", "1 b"])
    extra = write(
        tmp_path / "extra.jsonl",
        [
            {"id": "g0", "response": "9 strong"},
            {"prompt": "p1", "response": "5.5 strong", "token_ids": [7, 8, 2]},
            {"prompt": "p2", "response": "0 cut", "finished": False},
        ],
    )
    out = tmp_path / "out.jsonl"
    rank_file(samples, out, Digits(), extra=extra, model=model)
    first, second, third = read(out)
    assert (first["chosen"], first["rejected"]) == ("9 strong", "1 a")
    assert first["chosen_token_ids"] == ChatFormat.from_pretrained_tokenizer(tokenizer).answer_ids("9 strong")
    assert first["chosen_token_ids"][-1] == tokenizer.eos_token_id
    assert (second["chosen"], second["rejected"]) == ("6 b", "5 a")
    assert third["rejected_token_ids"] == ChatFormat.from_pretrained_tokenizer(tokenizer).answer_ids("0 cut")[:-1]
    assert not third["rejected_finished"]
    assert [r["source"] for r in read(scores_path(out))[1]["responses"]] == ["policy", "policy", "extra"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "g7", "response": "9"}, "none of"),
        ({"id": "g0"}, "no text in `response`"),
        ({"id": "g0", "response": "9"}, "name the policy with --model"),
    ],
)
def test_a_stronger_model_s_row_that_fits_nowhere_is_named(tmp_path: Path, row: Row, says: str) -> None:
    samples = sampled(tmp_path / "s.jsonl", ["1 a", "2 b"])
    with pytest.raises(BadInput, match=says):
        rank_file(samples, tmp_path / "out.jsonl", Digits(), extra=write(tmp_path / "extra.jsonl", [row]))


# ---- what comes after --------------------------------------------------------------------------------------


def test_the_trainer_reads_unlabeled_pairs_by_their_ids(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    samples = sampled(tmp_path / "s.jsonl", ["1 a", response("2 b", 6)])
    rank_file(samples, tmp_path / "out.jsonl", Digits())
    (pair,) = load_pairs(tmp_path / "out.jsonl", tokenizer).pairs
    assert list(pair.chosen) == response("", 6)["token_ids"]
    assert list(pair.rejected) == response("")["token_ids"]
    assert pair.chosen_token_rewards is None


def test_the_command_ranks_and_says_what_was_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "id": n,
            "prompt": "p",
            "check": {"kind": "final_number", "answer": n},
            "responses": [response("1"), response("2")],
        }
        for n in (1, 2, 3)
    ]
    samples, out = write(tmp_path / "s.jsonl", rows), tmp_path / "out.jsonl"
    assert cli.main(["rank", str(samples), "--out", str(out), "--scorer", "verify", "--max-length-ratio", "2"]) == 0
    said = capsys.readouterr().out
    assert "ranked: 2 pairs" in said
    assert "1 x group all_equal" in said
    assert [row["chosen"] for row in read(out)] == ["1", "2"]
    meta = read_meta(out)
    assert meta is not None
    assert meta["ranking"]["plan"]["scorer"]["scorer"] == "verify"
