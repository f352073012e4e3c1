"""The teacher wires answer in the shapes that their clients read, refuse what would change a score, and score once what
sequences share.
"""

from __future__ import annotations

import base64
import io
import random
from typing import Any

import httpx2
import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks.harness.stack import Stack, http
from tokenreward.protocol.arrow_blobs import Entry, to_table
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.schema import ItemFailure, ItemResult
from tokenreward_service.problems import ProblemError
from tokenreward_service.routes.job_items import _sent
from tokenreward_service.wires.sequence_scoring import _rows
from tokenreward_service.wires.shared_starts import parts, scoring_order

IDS = list(range(10, 30))


def completions(stack: Stack, **body: Any) -> httpx2.Response:
    return http.post(
        stack.url + "/v1/completions", json={"prompt": [IDS], "max_tokens": 1, "prompt_logprobs": 0} | body
    )


def generate(stack: Stack, sampling: dict[str, Any], **body: Any) -> httpx2.Response:
    request = {"token_ids": IDS, "sampling_params": {"max_tokens": 1} | sampling} | body
    return http.post(stack.url + "/inference/v1/generate", json=request)


def sglang(stack: Stack, **body: Any) -> httpx2.Response:
    request = {
        "input_ids": IDS,
        "sampling_params": {"max_new_tokens": 0, "temperature": 0},
        "return_logprob": True,
        "logprob_start_len": 0,
    }
    return http.post(stack.url + "/generate", json=request | body)


def test_a_completion_has_a_row_for_every_token_but_the_first(synthetic: Stack) -> None:
    answer = completions(synthetic, prompt=[IDS, IDS[:5]], return_token_ids=True).json()
    first, second = answer["choices"]
    assert [first["index"], second["index"]] == [0, 1]
    assert first["prompt_logprobs"][0] is None
    assert [list(row) for row in first["prompt_logprobs"][1:]] == [[str(token)] for token in IDS[1:]]
    assert len(second["prompt_logprobs"]) == 5
    assert (first["text"], first["finish_reason"], first["token_ids"]) == ("", "length", [])
    assert first["prompt_token_ids"] == IDS
    assert answer["usage"] == {"prompt_tokens": 25, "total_tokens": 25, "completion_tokens": 0}
    assert answer["tokenreward"]["provenance"]["fingerprint"]["engine"] == "synthetic"


def test_many_long_sequences_are_no_more_structure_than_an_item_has(synthetic: Stack) -> None:
    answer = completions(synthetic, prompt=[[10] * 16_000] * 64, prompt_logprobs=None)
    assert (answer.status_code, "there is nothing to score" in answer.text) == (400, True), answer.text[:500]


def test_one_sequence_may_come_without_a_list_around_it(synthetic: Stack) -> None:
    one, listed = completions(synthetic, prompt=IDS).json(), completions(synthetic, prompt=[IDS]).json()
    assert one["choices"] == listed["choices"]


def test_the_three_wires_give_the_same_scores(synthetic: Stack) -> None:
    rows = completions(synthetic).json()["choices"][0]["prompt_logprobs"][1:]
    expected = [row[str(token)]["logprob"] for row, token in zip(rows, IDS[1:], strict=True)]
    tokens = generate(synthetic, {"prompt_logprobs": 0}, request_id="mine").json()
    assert tokens["request_id"] == "mine"
    assert tokens["prompt_logprobs"][1:] == rows
    result = sglang(synthetic).json()
    entries = result["meta_info"]["input_token_logprobs"]
    assert [entry[1] for entry in entries] == IDS
    assert [entry[0] for entry in entries] == [None, *(pytest.approx(value) for value in expected)]


def test_named_tokens_from_a_start_row_come_as_one_array(synthetic: Stack) -> None:
    named = {"prompt_logprob_token_ids": [[token] for token in IDS[8:]], "prompt_logprob_start": 7}
    packed = generate(synthetic, named).json()["prompt_token_id_logprobs"]
    rows = np.load(io.BytesIO(base64.b64decode(packed)))
    assert rows.shape == (12, 1)
    assert rows.dtype == np.float32
    later = sglang(synthetic, logprob_start_len=7).json()["meta_info"]["input_token_logprobs"]
    assert [entry[0] for entry in later[1:]] == pytest.approx(rows[:, 0].tolist())


def test_the_likeliest_tokens_come_beside_the_given_one_on_every_wire(synthetic: Stack) -> None:
    rows = completions(synthetic, prompt_logprobs=5).json()["choices"][0]["prompt_logprobs"][1:]
    for row, token in zip(rows, IDS[1:], strict=True):
        assert next(iter(row)) == str(token)
        others = [entry for name, entry in row.items() if entry["rank"] <= 5]
        assert sorted(entry["rank"] for entry in others) == [1, 2, 3, 4, 5]
    assert generate(synthetic, {"prompt_logprobs": 5}).json()["prompt_logprobs"][1:] == rows
    meta = sglang(synthetic, top_logprobs_num=5).json()["meta_info"]
    assert meta["input_top_logprobs"][0] is None
    for row, best in zip(rows, meta["input_top_logprobs"][1:], strict=True):
        assert [entry[1] for entry in best] == [
            int(name)
            for name, _ in sorted(
                ((name, entry) for name, entry in row.items() if entry["rank"] <= 5), key=lambda one: one[1]["rank"]
            )
        ]


def test_named_ids_come_as_an_array_or_beside_each_token(synthetic: Stack) -> None:
    named = {"prompt_logprob_token_ids": [[token, 5, -1] for token in IDS[8:10]], "prompt_logprob_start": 7}
    packed = generate(synthetic, named).json()["prompt_token_id_logprobs"]
    rows = np.load(io.BytesIO(base64.b64decode(packed)))
    assert rows.shape == (2, 3)
    assert np.isneginf(rows[:, 2]).all()
    assert np.isfinite(rows[:, :2]).all()
    meta = sglang(synthetic, input_ids=IDS[:10], logprob_start_len=7, token_ids_logprob=[5, 6]).json()["meta_info"]
    assert [[entry[1] for entry in place] for place in meta["input_token_ids_logprobs"][1:]] == [[5, 6], [5, 6]]


def test_several_sequences_over_sglang_come_as_a_list(synthetic: Stack) -> None:
    results = sglang(synthetic, input_ids=[IDS, IDS[:6]], logprob_start_len=[0, 3]).json()
    assert [len(result["meta_info"]["input_token_logprobs"]) for result in results] == [20, 3]


def test_a_branch_with_contexts_is_scored_in_place_of_the_bare_prompt(synthetic: Stack) -> None:
    asked = {
        "template": "reference",
        "branch": "privileged",
        "items": [{"response_start": 15, "item": {"prompt": "2+2?", "context": {"reference": "It is 4."}}}],
    }
    answer = completions(synthetic, tokenreward=asked)
    assert answer.status_code == 200, answer.text
    rows = answer.json()["choices"][0]["prompt_logprobs"]
    assert [row is None for row in rows] == [True] * 15 + [False] * 5
    body = {"items": [{"prompt": "2+2?", "context": {"reference": "It is 4."}, "token_ids": IDS[15:]}]}
    label = http.post(
        synthetic.url + "/v1/label", json=body | {"estimator": "privileged", "include": ["logprobs"]}
    ).json()
    expected = label["results"][0]["logprobs"]["privileged"]
    assert [row[str(token)]["logprob"] for row, token in zip(rows[15:], IDS[15:], strict=True)] == pytest.approx(
        expected
    )
    assert answer.json()["tokenreward"]["provenance"]["template"] == "reference"


def branch(start: int) -> dict[str, Any]:
    items = [{"response_start": start, "item": {"prompt": "2+2?", "context": {"reference": "It is 4."}}}]
    return {"template": "reference", "branch": "privileged", "items": items}


def test_rows_of_a_branch_begin_where_they_are_asked_for_behind_the_start_of_its_response(synthetic: Stack) -> None:
    rows = completions(synthetic, tokenreward=branch(10)).json()["choices"][0]["prompt_logprobs"]
    expected = [row[str(token)]["logprob"] for row, token in zip(rows[10:], IDS[10:], strict=True)]
    for place in (9, 10, 14):
        entries = sglang(synthetic, logprob_start_len=place, tokenreward=branch(10)).json()["meta_info"]
        found = [entry[0] for entry in entries["input_token_logprobs"]]
        assert found[0] is None
        assert found[1:] == pytest.approx(expected[place - 9 :])

    def named(first: int, *more: int) -> Any:
        asked = {"prompt_logprob_token_ids": [[token, *more] for token in IDS[first:]]}
        answer = generate(synthetic, asked | {"prompt_logprob_start": first - 1}, tokenreward=branch(10)).json()
        return np.load(io.BytesIO(base64.b64decode(answer["prompt_token_id_logprobs"])))

    assert named(15)[:, 0].tolist() == pytest.approx(expected[5:])
    np.testing.assert_array_equal(named(15, 5), named(10, 5)[5:])
    early = {"prompt_logprob_token_ids": [[token] for token in IDS[5:]], "prompt_logprob_start": 4}
    answer = generate(synthetic, early, tokenreward=branch(10))
    assert answer.status_code == 400
    assert "give 9 or more" in answer.json()["error"]["message"]


def test_models_and_health_are_what_clients_of_vllm_ask_first(synthetic: Stack) -> None:
    assert http.get(synthetic.url + "/health").status_code == 200
    listed = http.get(synthetic.url + "/v1/models").json()
    assert listed["object"] == "list"
    assert listed["data"][0]["id"] == listed["models"][0]["name"]
    assert completions(synthetic, model=listed["data"][0]["id"]).status_code == 200
    unknown = completions(synthetic, model="no-such-model")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["type"] == "NotFoundError"


_REFUSED = [
    ({"prompt": "text"}, "prompt"),
    ({"prompt": [5]}, "prompt"),
    ({"max_tokens": 2}, "max_tokens"),
    ({"max_tokens": None}, "max_tokens"),
    ({"prompt_logprobs": None}, "prompt_logprobs"),
    ({"prompt_logprobs": 100_000}, "prompt_logprobs"),
    ({"stream": True}, "stream"),
    ({"echo": True}, "echo"),
    ({"temperature": 0.7}, "temperature"),
    ({"top_p": 0.9}, "top_p"),
    ({"logit_bias": {"5": 100}}, "logit_bias"),
    ({"logprobs": 1}, "logprobs"),
    ({"no_such_option": 1}, "no_such_option"),
    ({"tokenreward": {"branch": "better"}}, "tokenreward"),
    ({"model": "one", "tokenreward": {"model": "two"}}, "tokenreward/model"),
    ({"tokenreward": {"template": "revision", "branch": "none", "items": []}}, "tokenreward/branch"),
]


@pytest.mark.parametrize(("body", "field"), _REFUSED, ids=[str(body) for body, _ in _REFUSED])
def test_what_a_teacher_cannot_do_is_refused_by_the_name_of_its_field(synthetic: Stack, body: Any, field: str) -> None:
    answer = completions(synthetic, **body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("BadRequestError", 400, field)


def test_options_that_change_no_score_are_taken(synthetic: Stack) -> None:
    options = {"temperature": 0, "top_p": 1.0, "top_k": -1, "seed": 3, "stream": False, "n": 1, "stop": ["x"]}
    assert completions(synthetic, **options).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"text": "a", "input_ids": None},
        {"return_logprob": False},
        {"logprob_start_len": -1},
        {"sampling_params": {"max_new_tokens": 8}},
        {"sampling_params": {"max_new_tokens": 0, "temperature": 0.5}},
        {"stream": True},
    ],
    ids=str,
)
def test_sglangs_wire_refuses_in_sglangs_shape(synthetic: Stack, body: dict[str, Any]) -> None:
    answer = sglang(synthetic, **body)
    assert answer.status_code == 400
    assert list(answer.json()["error"]) == ["message"]


def test_an_id_out_of_range_is_refused_by_its_number(synthetic: Stack) -> None:
    answer = completions(synthetic, prompt=[[5, 999_999]])
    assert answer.status_code == 400
    assert "999999" in answer.json()["error"]["message"]


@pytest.mark.parametrize("odd", [2**31, 2**63, -2])
def test_a_named_id_that_no_vocabulary_can_have_is_refused_by_its_field(synthetic: Stack, odd: int) -> None:
    answer = generate(synthetic, {"prompt_logprob_token_ids": [[odd, 5]], "prompt_logprob_start": 7})
    assert answer.status_code == 400
    assert "sampling_params/prompt_logprob_token_ids" in answer.json()["error"]["message"]
    with pytest.raises(ValidationError):
        IdsItem(prompt_ids=[1], token_ids=[2], named_ids=[[odd]])


@pytest.mark.parametrize(("code", "status"), [("poison", 422), ("engine_error", 422), ("cancelled", 503)])
def test_only_what_may_go_better_next_time_asks_the_caller_to_come_back(code: str, status: int) -> None:
    table = to_table([ItemResult(index=0, error=ItemFailure(code=code, message="why"))])
    with pytest.raises(ProblemError, match=rf"Not scored \({code}\): why") as refused:
        _rows(table, 0)
    assert refused.value.problem.status == status
    assert ("Retry-After" in (refused.value.headers or {})) == (status == 503)


def test_a_wires_job_is_gone_once_it_is_answered(synthetic: Stack) -> None:
    before = http.get(synthetic.url + "/v1/jobs").json()["jobs"]
    completions(synthetic)
    assert http.get(synthetic.url + "/v1/jobs").json()["jobs"] == before


def test_what_a_wires_job_was_sent_is_shown_as_ids() -> None:
    shown = _sent(3, Entry(None, item=IdsItem(prompt_ids=[1, 2], token_ids=[3])))
    assert shown.model_dump(exclude_none=True) == {"index": 3, "prompt_ids": [1, 2], "token_ids": [3]}


def test_the_rows_of_a_shared_start_are_computed_once_and_stand_in_every_sequence() -> None:
    """A row is a function of what stands before it: put together from parts, it is what it is as a whole."""
    chance = random.Random(7)
    for _ in range(200):
        stem = [chance.randrange(3) for _ in range(80)]
        sequences = [
            stem[: chance.randrange(1, 80)] + [chance.randrange(3) for _ in range(chance.randrange(1, 20))]
            for _ in range(8)
        ]
        starts = [chance.choice([1, 1, 1, min(5, len(ids) - 1)]) or 1 for ids in sequences]
        cut = parts(sequences, starts)
        whole: dict[int, list[tuple[int, ...]]] = {}
        for n in scoring_order(cut):
            own = [tuple(sequences[n][: place + 1]) for place in range(cut[n].start, len(sequences[n]))]
            other = cut[n].like
            shared = whole[other][starts[n] - starts[other] : cut[n].start - starts[other]] if other is not None else []
            whole[n] = shared + own
        for n, ids in enumerate(sequences):
            assert whole[n] == [tuple(ids[: place + 1]) for place in range(starts[n], len(ids))]


def test_sequences_that_share_a_long_start_are_cut_there() -> None:
    stem = list(range(100))
    cut = parts([[*stem, 1], [*stem, 2], [*stem, 2], [7, 8]], [1, 1, 1, 1])
    assert [part.start for part in cut] == [1, 100, 101, 1]
    assert [part.like for part in cut] == [None, 0, 1, None]
