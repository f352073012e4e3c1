"""Several files to train on, sets to evaluate on, and columns under other names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tokenreward.errors import BadInput
from tokenreward_trainer.data.labeled_pairs import load_pairs
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.mixture import path_of, split_and_mix
from tokenreward_trainer.training.run import train_run
from tokenreward_trainer.training.settings import Data, Part, run_of


def pairs_named(prefix: str, count: int) -> list[Pair]:
    return [Pair(f"{prefix}{number}", (1,), (2,), (3,)) for number in range(count)]


def mix(*weights: float, **options: Any) -> Data:
    return Data(mix=[Part(file=f"{number}.jsonl", weight=weight) for number, weight in enumerate(weights)], **options)


def test_a_weight_says_how_often_the_pairs_of_a_file_are_taken() -> None:
    found = [pairs_named("a", 10), pairs_named("b", 4), pairs_named("c", 4)]
    train, held_out = split_and_mix(mix(0.5, 1, 2.5), found, seed=1)
    taken = Counter(pair.id for pair in train)
    assert held_out == []
    assert sorted(count for name, count in taken.items() if name[0] == "a") == [1] * 5
    assert [taken[f"b{number}"] for number in range(4)] == [1] * 4
    assert sorted(taken[f"c{number}"] for number in range(4)) == [2, 2, 3, 3]
    again, _ = split_and_mix(mix(0.5, 1, 2.5), found, seed=1)
    other, _ = split_and_mix(mix(0.5, 1, 2.5), found, seed=2)
    assert [pair.id for pair in again] == [pair.id for pair in train] != [pair.id for pair in other]


def test_no_pair_is_trained_on_and_held_out() -> None:
    train, held_out = split_and_mix(mix(3, 0.5, eval_share=0.25), [pairs_named("a", 8), pairs_named("b", 8)], seed=0)
    assert sorted(pair.id for pair in held_out) == ["a6", "a7", "b6", "b7"]
    assert not {pair.id for pair in train} & {pair.id for pair in held_out}
    assert len(train) == 3 * 6 + 3


def test_a_mixture_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="leaves no pair to train on"):
        split_and_mix(mix(0.1), [pairs_named("a", 2)], seed=0)
    with pytest.raises(BadInput, match=r"data.limit = 9 is more than the 4 pairs"):
        split_and_mix(mix(2, limit=9), [pairs_named("a", 2)], seed=0)


def test_columns_go_by_other_names(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 3)
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    others = [{"question": r["prompt"], "good": r["chosen"], "bad": r["rejected"], "prompt": "not this"} for r in rows]
    (tmp_path / "other.jsonl").write_text("\n".join(map(json.dumps, others)))
    columns = {"prompt": "question", "chosen": "good", "rejected": "bad"}
    plain = load_pairs(tmp_path / "pairs.jsonl", tokenizer).pairs
    renamed = load_pairs(tmp_path / "other.jsonl", tokenizer, columns=columns).pairs
    assert [(p.prompt, p.chosen, p.rejected) for p in renamed] == [(p.prompt, p.chosen, p.rejected) for p in plain]
    with pytest.raises(BadInput, match="row 0: no column worse, which `columns` names; there are question, good"):
        load_pairs(tmp_path / "other.jsonl", tokenizer, columns=columns | {"rejected": "worse"})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"train": "a", "mix": [{"file": "b"}]}, "data.train and data.mix: give one of them"),
        ({"mix": [{"file": "b", "weight": 0}]}, "weight = 0"),
        ({"mix": [{"file": "b", "wieght": 1}]}, "wieght"),
        ({"train": "a", "columns": {"chosn": "good"}}, "columns names chosn"),
        ({}, "data.train is not set"),
    ],
)
def test_a_wrong_mixture_names_the_option(data: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        run_of({"model": {"name": "m"}, "data": data})


def test_a_file_of_a_data_set_on_the_hub_that_cannot_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match=r"data.mix: labeled.parquet of the data set 'nobody/nothing' cannot be had"):
        path_of(Part(hub="nobody/nothing", file="labeled.parquet"))


def test_a_run_trains_on_a_mixture_and_evaluates_each_set(
    policy: Path, tmp_path: Path, config: Callable[..., PreferenceConfig]
) -> None:
    for name, count in (("a", 6), ("b", 4), ("easy", 3), ("hard", 2)):
        write_pairs(tmp_path / f"{name}.jsonl", count)
    content = {
        "model": {"name": str(policy), "dtype": "float32"},
        "data": {
            "mix": [{"file": str(tmp_path / "a.jsonl"), "weight": 0.5}, {"file": str(tmp_path / "b.jsonl")}],
            "eval": {name: str(tmp_path / f"{name}.jsonl") for name in ("easy", "hard")},
            "max_length": 256,
            "max_prompt_length": 200,
        },
    }
    (record,) = train_run(run_of(content), config(max_steps=1))
    assert record.pairs == 7
    evaluated = {name for entry in record.log for name in entry if name.startswith("eval_")}
    assert {"eval_easy_rewards/margins", "eval_hard_rewards/margins"} <= evaluated
    assert len(record.examples) == 3
