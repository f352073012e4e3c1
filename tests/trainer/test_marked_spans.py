"""Spans that people marked in held-out responses: on which tokens they lie, and whether a policy finds them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from tokenreward.errors import BadInput
from tokenreward_trainer.data.labeled_pairs import load_pairs
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.report.conclusion import sentences
from tokenreward_trainer.report.heat import heat_maps
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.marked_spans import found_by, marked_tokens
from tokenreward_trainer.training.run import train_run
from tokenreward_trainer.training.settings import run_of

pytestmark = pytest.mark.trains


def test_a_span_lies_on_every_token_that_shares_a_character_with_it(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "a é 17"
    ids = tuple(tokenizer(text)["input_ids"])
    pair = Pair("p", (1,), ids, ids, bad_spans=(((2, 3), (5, 6)), None))
    ((chosen, rejected),) = marked_tokens(tokenizer, [pair])
    assert rejected is None
    assert chosen is not None
    # One byte is one token here: the accented letter is two, and the last digit one.
    assert [tokenizer.decode([i]) for i, marked in zip(ids, chosen, strict=True) if marked][-1] == "7"
    assert chosen.tolist() == [False, False, True, True, False, False, True]


def test_tokens_that_do_not_count_are_neither_marked_nor_not(tokenizer: PreTrainedTokenizerFast) -> None:
    ids, counted = tuple(tokenizer("abc")["input_ids"]), np.array([False, True, True])
    pair = Pair("p", (1,), ids, ids, chosen_mask=counted, rejected_mask=counted, bad_spans=(((0, 2),), None))
    ((chosen, _),) = marked_tokens(tokenizer, [pair])
    assert chosen is not None
    assert chosen.tolist() == [True, False]


def test_spans_belong_to_their_own_row_whatever_other_files_have(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    rows = [{"prompt": "p", "chosen": "good", "rejected": "bad"}] * 2
    for name, spans in (("a", [[0, 1]]), ("b", None)):
        written = [row | ({} if spans is None else {"rejected_bad_spans": spans}) for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, written)))
    first, second = (load_pairs(tmp_path / f"{name}.jsonl", tokenizer).pairs for name in ("a", "b"))
    assert [pair.bad_spans for pair in first] == [(None, ((0, 1),))] * 2
    assert [pair.bad_spans for pair in second] == [(None, None)] * 2


@pytest.mark.parametrize("spans", [[[3, 2]], [[0, 9]], [[0.5, 1]], "0-1"])
def test_what_is_no_span_is_found_when_the_row_is_read(
    spans: Any, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    row = {"prompt": "p", "chosen": "good", "rejected": "bad", "chosen_bad_spans": spans}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row))
    with pytest.raises(BadInput, match=r"pairs.jsonl, row 0, field 'chosen_bad_spans"):
        load_pairs(tmp_path / "pairs.jsonl", tokenizer)


def test_low_rewards_on_marked_tokens_find_them() -> None:
    learned = [(np.array([0.1, -0.5, 0.2]), np.array([0.3]))]
    found = found_by(learned, [(np.array([False, True, False]), None)])
    assert found is not None
    assert (found.auroc, found.marked, found.tokens, found.responses) == (1.0, 1, 3, 1)
    assert found_by(learned, [(None, None)]) is None
    assert found_by(learned, [(np.array([False] * 3), None)]) is None


def test_a_run_shows_what_was_marked_and_says_whether_it_was_found(
    policy: Path, tmp_path: Path, config: Callable[..., PreferenceConfig]
) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 6)
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    marked = [row | {"rejected_bad_spans": [[0, 3]]} for row in rows]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, marked)))
    content = {
        "model": {"name": str(policy), "dtype": "float32"},
        "data": {
            "train": str(tmp_path / "pairs.jsonl"),
            "eval_share": 0.34,
            "max_length": 256,
            "max_prompt_length": 200,
        },
    }
    (record,) = train_run(run_of(content), config(max_steps=1))
    assert record.spans is not None
    assert (record.spans.marked, record.spans.responses) == (6, 2)
    assert record.examples[0].responses[0].marked is None
    assert record.examples[0].responses[1].marked is not None
    assert sentences([record])[1].startswith("What people marked as wrong (6 of ")
    page = heat_maps([record])
    assert page.count(" wrong") - page.count("as wrong") == 6
    assert "A frame: what people marked as wrong." in page
