"""Context fields, repeated branches, parameters and pooled rewards over real HTTP, with the synthetic engine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience
from tokenreward import estimators, templates

SIBLINGS = {"right": "Four.", "wrong": ["Five.", "Six.", "Seven.", "Eight."]}
ITEM = {"prompt": "What is 2+2?", "response": "It is 4. Yes, 4!", "context": SIBLINGS}
CONTEXTS: dict[str, Any] = {
    "siblings": SIBLINGS,
    "reference": {"reference": "2+2=4"},
    "feedback": {"feedback": "Right."},
    "unrelated": {"unrelated": ["Who was Ada?", "What is tea?"]},
    "correct": {"outcome": "right"},
    "edit": {"revised": "It is 4. Yes!"},
}


@pytest.fixture
def http(synthetic: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=synthetic.url, timeout=patience(30)) as client:
        yield client


def label(http: httpx2.Client, *items: dict, **options: Any) -> dict:
    answer = http.post("/v1/label", json={"items": list(items), **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("name", list(estimators.shipped()))
def test_every_estimator_works_with_the_template_it_was_made_for(http: httpx2.Client, name: str) -> None:
    estimator = estimators.resolve(name)
    item = {key: value for key, value in ITEM.items() if key != "context"}
    if estimator.template in CONTEXTS:
        item["context"] = CONTEXTS[estimator.template]
    models = dict.fromkeys(templates.resolve(estimator.template).models, "synthetic")
    answer = label(http, item, estimator=name, include=["difference", "logprobs"], models=models)
    (result,) = answer["results"]
    assert "error" not in result
    assert len(result["rewards"]) == len(result["difference"]) == len(result["token_ids"])
    provenance = answer["provenance"]
    assert (provenance["template"], provenance["estimator"]) == (estimator.template, name)
    assert provenance["estimator_hash"] == estimator.hash
    assert provenance["unbounded"] == estimator.unbounded
    assert estimator.unbounded or max(map(abs, result["rewards"])) <= 0.5


def test_a_repeated_branch_has_a_row_for_each_value_up_to_k(http: httpx2.Client) -> None:
    (result,) = label(http, ITEM, estimator="rlcsd", include=["logprobs", "difference"])["results"]
    assert list(result["logprobs"]) == ["right", "wrong[0]", "wrong[1]", "wrong[2]"]
    wrong = np.mean([result["logprobs"][f"wrong[{k}]"] for k in range(3)], axis=0)
    expected = np.array(result["logprobs"]["right"]) - wrong
    assert result["difference"] == pytest.approx(expected, abs=1e-4)
    assert result["rewards"] == pytest.approx([math.tanh(d / 0.03) / 2 for d in expected], abs=2e-3)
    (one,) = label(http, ITEM, estimator="rlcsd", parameters={"k": 1}, include=["logprobs"])["results"]
    assert list(one["logprobs"]) == ["right", "wrong[0]"]


def test_parameters_travel_in_the_query_of_an_ndjson_job_and_stand_in_its_provenance(http: httpx2.Client) -> None:
    query = {"estimator": "rlcsd", "parameters": json.dumps({"tau": 0.5})}
    headers = {"content-type": "application/x-ndjson"}
    job = http.post("/v1/jobs", params=query, content=json.dumps(ITEM), headers=headers).json()
    assert job["provenance"]["parameters"] == {"tau": 0.5, "k": 3.0}
    assert job["provenance"]["estimator_hash"] == estimators.resolve("rlcsd").hash_with({"tau": 0.5})


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (None, "context field 'right'"),
        ({"right": "Four."}, "context field 'wrong'"),
        ({**SIBLINGS, "hint": "x"}, "has no context field 'hint'; its fields: right, wrong"),
        ({"right": ["a", "b"], "wrong": ["c"]}, "'right' is a list"),
        ({"right": "a", "wrong": []}, "context field 'wrong'"),
        ({"right": 7, "wrong": ["c"]}, "context/right"),
    ],
)
def test_a_context_that_does_not_fit_is_the_items_own_error(
    http: httpx2.Client, context: dict | None, message: str
) -> None:
    wrong = {"prompt": "Q", "response": "A", **({"context": context} if context is not None else {})}
    first, second = label(http, wrong, ITEM, estimator="rlcsd")["results"]
    assert first["error"]["code"] == "invalid_item"
    assert message in first["error"]["message"]
    assert "error" not in second


def test_an_oversized_context_is_too_long(http: httpx2.Client) -> None:
    big = {**ITEM, "context": {"right": "a", "wrong": ["x" * 2_000_000]}}
    (result,) = label(http, big, estimator="rlcsd")["results"]
    assert result["error"]["code"] == "too_long"


@pytest.mark.parametrize(
    ("options", "pointer", "message"),
    [
        ({"estimator": "rlcsd", "template": "revision"}, "/template", "made for template 'siblings'"),
        ({"estimator": "rlcsd", "parameters": {"tua": 1}}, "/parameters", "did you mean tau"),
        ({"estimator": "contrast", "parameters": {"tau": 1}}, "/parameters", "it has: none"),
        ({"include": ["segments"]}, "/", "needs `pool`"),
        ({"pool": "paragraph"}, "/pool", "word"),
    ],
)
def test_options_that_cannot_be_are_422_and_say_what_can(
    http: httpx2.Client, options: dict, pointer: str, message: str
) -> None:
    answer = http.post("/v1/label", json={"items": [ITEM], **options})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert message in error["detail"]


@pytest.mark.parametrize(("kind", "texts"), [("word", ["It", "is", "4", ".", "Yes", ",", "4", "!"]),
                                             ("sentence", ["It is 4.", "Yes, 4!"])])  # fmt: skip
def test_pooled_rewards_are_those_of_the_segments(http: httpx2.Client, kind: str, texts: list[str]) -> None:
    item = {key: value for key, value in ITEM.items() if key != "context"}
    (plain,) = label(http, item, include=["tokens"])["results"]
    (result,) = label(http, item, pool=kind, include=["tokens", "segments"])["results"]
    assert [item["response"][s["start"] : s["end"]] for s in result["segments"]] == texts
    for segment in result["segments"]:
        own = [
            n
            for n, (a, b) in enumerate(plain["offsets"])
            if item["response"][a:b].strip() and segment["start"] <= a < segment["end"]
        ]
        mean = np.mean([plain["rewards"][n] for n in own])
        assert segment["reward"] == pytest.approx(mean, abs=1e-6)
        assert [result["rewards"][n] for n in own] == pytest.approx([mean] * len(own), abs=1e-6)
    assert result["rewards"][-1] == plain["rewards"][-1]  # the end of turn is no part of a segment


def test_spans_of_the_caller_are_pooled_and_checked(http: httpx2.Client) -> None:
    item = {"prompt": "Q", "response": "ab cd", "spans": [[0, 2], [3, 5]]}
    without = {"prompt": "Q", "response": "ab cd"}
    beyond = {"prompt": "Q", "response": "ab cd", "spans": [[0, 9]]}
    as_ids = {"prompt": "Q", "token_ids": [97, 98], "spans": [[0, 9]]}
    options = {"pool": "spans", "pool_by": "min", "include": ["segments"]}
    good, *bad = label(http, item, without, beyond, as_ids, **options)["results"]
    assert [(s["start"], s["end"]) for s in good["segments"]] == [(0, 2), (3, 5)]
    assert ["`spans`" in bad[0]["error"]["message"], "spans[0]" in bad[1]["error"]["message"]] == [True, True]
    assert "spans[0]" in bad[2]["error"]["message"]


def test_render_shows_the_branches_that_the_item_has_the_fields_for(http: httpx2.Client) -> None:
    shown = http.post("/v1/render", json={"item": ITEM, "template": "siblings"}).json()["branches"]
    assert list(shown) == ["right", "wrong[0]", "wrong[1]", "wrong[2]", "wrong[3]", "plain"]
    assert "Seven." in shown["wrong[2]"]["messages"][0]["content"]
    refused = http.post("/v1/render", json={"item": {"prompt": "Q", "response": "A"}, "template": "siblings"})
    assert refused.status_code == 422
    assert "'right'" in refused.json()["errors"][0]["detail"]


def test_the_catalogue_says_what_an_estimator_needs(http: httpx2.Client) -> None:
    listed = {e["name"]: e for e in http.get("/v1/estimators").json()["estimators"]}
    assert listed["rlcsd"]["parameters"]["tau"]["default"] == 0.03
    assert listed["rlcsd"]["repeated"] == ["wrong"]
    shown = {t["name"]: t for t in http.get("/v1/templates").json()["templates"]}
    assert list(shown["siblings"]["fields"]) == ["right", "wrong"]


def test_a_template_of_the_callers_own_may_declare_fields(http: httpx2.Client) -> None:
    template = {
        "name": "mine",
        "context": "{prompt} Hint: {hint}",
        "fields": {"hint": {}},
        "branches": {"better": {"directive": " good"}, "worse": {"directive": " bad"}},
    }
    item = {"prompt": "Q", "response": "A", "context": {"hint": [{"role": "user", "content": "look"}]}}
    (result,) = label(http, item, template=template)["results"]
    assert "error" not in result
    undeclared = {**template, "context": "{prompt} {hnit}"}
    answer = http.post("/v1/label", json={"items": [item], "template": undeclared})
    assert answer.status_code == 422
    assert "{hnit}" in answer.text
