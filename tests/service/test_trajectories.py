"""Items of which every assistant's turn is scored, over real HTTP with the synthetic engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience
from tokenreward import Client, estimators, templates
from tokenreward.schema import Item

ASK = {"role": "user", "content": "What is 2+2?"}
SURE = {"role": "user", "content": "Sure? Think of 5."}
FOUR = {"role": "assistant", "content": "It is 4."}
YES = {"role": "assistant", "content": "Yes, 4!"}
WHOLE: dict[str, Any] = {"prompt": [ASK, FOUR, SURE], "response": "Yes, 4!", "score": "all"}


@pytest.fixture
def http(synthetic: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=synthetic.url, timeout=patience(30)) as client:
        yield client


def label(http: httpx2.Client, *items: dict, **options: Any) -> list[dict]:
    answer = http.post("/v1/label", json={"items": list(items), **options})
    assert answer.status_code == 200, answer.text
    results: list[dict] = answer.json()["results"]
    return results


def test_a_conversation_is_scored_in_one_pass_and_each_token_says_its_turn(http: httpx2.Client) -> None:
    whole, last = label(http, WHOLE, {**WHOLE, "score": "last"}, include=["tokens"], estimator="surprisal")
    turns = np.array(whole["turns"])
    assert len(turns) == len(whole["token_ids"]) == len(whole["rewards"])
    assert "turns" not in last
    own = [np.flatnonzero(turns == turn) for turn in (0, 1)]
    between = np.flatnonzero(turns < 0)
    said = ["".join(whole["tokens"][n] for n in tokens) for tokens in own]
    assert [said[0].startswith("It is 4."), said[1].startswith("Yes, 4!")] == [True, True]
    assert "Sure? Think of 5." in "".join(whole["tokens"][n] for n in between)
    assert not np.array(whole["rewards"])[between].any()
    assert np.array(whole["rewards"])[own[0]].any()
    assert [whole["token_ids"][n] for n in own[1]] == last["token_ids"]


def test_an_estimator_that_compares_a_token_with_its_response_sees_the_assistants_tokens_only(
    http: httpx2.Client,
) -> None:
    (result,) = label(http, WHOLE, estimator="evidence", include=["logprobs", "difference"])
    own = np.array(result["turns"]) >= 0
    rows = {name: np.array(row, np.float32)[own] for name, row in result["logprobs"].items()}
    assert np.array(result["rewards"])[own] == pytest.approx(estimators.resolve("evidence").rewards(rows), abs=1e-5)
    assert not np.array(result["difference"])[~own].any()


def test_turns_that_the_prompt_has_are_context_where_the_response_is_messages(http: httpx2.Client) -> None:
    item = {
        "prompt": [ASK, FOUR, SURE],
        "response": [YES, SURE, {"role": "assistant", "content": "4."}],
        "score": "all",
    }
    (result,) = label(http, item, include=["tokens"])
    texts = [
        "".join(token for token, turn in zip(result["tokens"], result["turns"], strict=True) if turn == number)
        for number in (0, 1)
    ]
    assert [texts[0].startswith("Yes, 4!"), texts[1].startswith("4.")] == [True, True]
    assert "It is 4." not in "".join(result["tokens"])


def test_segments_are_of_the_turns_and_never_reach_from_one_to_the_next(http: httpx2.Client) -> None:
    (result,) = label(http, WHOLE, pool="sentence", include=["tokens", "segments"], estimator="surprisal")
    text = "It is 4.\n\nYes, 4!"
    assert [text[s["start"] : s["end"]] for s in result["segments"]] == ["It is 4.", "Yes, 4!"]
    for number, segment in enumerate(result["segments"]):
        inside = [
            n
            for n, ((a, b), turn) in enumerate(zip(result["offsets"], result["turns"], strict=True))
            if turn == number and text[a:b].strip()
        ]
        assert [result["rewards"][n] for n in inside] == pytest.approx([segment["reward"]] * len(inside), abs=1e-6)
    spans = {**WHOLE, "spans": [[0, 8], [10, 17]]}
    (by_spans,) = label(http, spans, pool="spans", include=["segments"], estimator="surprisal")
    assert by_spans["segments"] == result["segments"]


def test_every_estimator_takes_a_trajectory(http: httpx2.Client) -> None:
    from tests.service.test_contexts import CONTEXTS

    for name, estimator in estimators.shipped().items():
        context = CONTEXTS.get(estimator.template)
        item = {**WHOLE, **({"context": context} if context else {})}
        models = dict.fromkeys(templates.resolve(estimator.template).models, "synthetic")
        (result,) = label(http, item, estimator=name, models=models)
        assert "error" not in result, (name, result)
        between = [r for r, turn in zip(result["rewards"], result["turns"], strict=True) if turn < 0]
        assert between
        assert not any(between), name


def test_a_job_streams_turns_as_arrow_and_as_lines_and_the_sdk_reads_them(
    synthetic: Stack, http: httpx2.Client
) -> None:
    plain = {"prompt": "Q", "response": "A"}
    with Client(url=synthetic.url) as client:
        job = client.jobs.create([Item(**WHOLE), plain])
        whole, alone = client.jobs.results(job.id)
        assert whole.turns is not None
        assert {*whole.turns} == {-1, 0, 1}
        assert alone.turns is None
        answer = http.get(f"/v1/jobs/{job.id}/results", headers={"accept": "application/vnd.apache.arrow.stream"})
        table = pa.ipc.open_stream(answer.content).read_all()
        assert table["turns"].to_pylist() == [whole.turns, None]


def test_a_conversation_that_cannot_be_is_the_items_own_error(http: httpx2.Client) -> None:
    by_ids = {"prompt": [ASK], "token_ids": [65], "score": "all"}
    unknown = {**WHOLE, "score": "some"}
    opened = {**WHOLE, "prompt": [FOUR, SURE]}
    several = {"prompt": [ASK], "response": [FOUR, SURE, YES]}
    *wrong, right = label(http, by_ids, unknown, opened, several, WHOLE)
    messages = [result["error"]["message"] for result in wrong]
    assert ["token_ids" in messages[0], "score" in messages[1], "begins with an assistant's" in messages[2]] == [
        True
    ] * 3
    assert "needs `score` = 'all'" in messages[3]
    assert "error" not in right


def test_render_shows_the_turns_in_words(http: httpx2.Client) -> None:
    shown = http.post("/v1/render", json={"item": WHOLE, "template": "revision"}).json()["branches"]["better"]
    text = shown["messages"][0]["content"]
    assert "Assistant: It is 4.\n\nUser: Sure? Think of 5.\n\nAssistant: Yes, 4!" in text
