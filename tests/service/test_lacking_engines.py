"""What the workers of a model cannot give is refused when it is asked for, and not item by item: three remote workers,
one for each wire, before a `synthetic` endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from benchmarks.harness.stack import Stack, http

pytest.importorskip("torch")
from tests.support.tiny_checkpoint import save_checkpoint

pytestmark = pytest.mark.processes

WIRES = ("vllm", "vllm-generate", "sglang")
ITEM: dict[str, Any] = {"prompt": "Q", "token_ids": [65, 66, 67], "named_ids": [7, 8]}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    tokenizer = save_checkpoint(tmp_path_factory.mktemp("checkpoint"))
    behind = {"TOKENREWARD_SYNTHETIC_TOKENIZER": str(tokenizer)}
    with Stack(tmp_path_factory.mktemp("endpoint"), behind) as endpoint:
        endpoint.start_worker()
        endpoint.start_api()
        endpoint.wait_ready()
        settings = {"TOKENREWARD_MODEL": str(tokenizer), "TOKENREWARD_ENDPOINT": endpoint.url}
        with Stack(tmp_path_factory.mktemp("front"), settings) as stack:
            for wire in WIRES:
                stack.start_worker(engine="remote", TOKENREWARD_WIRE=wire, TOKENREWARD_MODEL_NAME=wire)
            stack.start_api()
            stack.wait_ready(len(WIRES))
            yield stack


def label(stack: Stack, **options: Any) -> httpx2.Response:
    return http.post(stack.url + "/v1/label", json={"items": [ITEM], **options})


@pytest.mark.parametrize("wire", WIRES)
def test_moments_behind_an_endpoint_are_refused_and_what_to_take_instead_is_said(front: Stack, wire: str) -> None:
    refused = label(front, model=wire, include=["logprobs", "moments"])
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["pointer"] == "/include/1"
    assert error["detail"].startswith(f"the workers of {wire} cannot give 'moments'")
    assert "estimator 'lp_word'" in error["detail"]
    assert "engine vllm or transformers" in error["detail"]
    asked = {"items": [ITEM], "model": wire, "include": ["moments"]}
    assert http.post(front.url + "/v1/jobs", json=asked).status_code == 422


@pytest.mark.parametrize("wire", WIRES)
def test_what_a_wire_has_is_given(front: Stack, wire: str) -> None:
    (best,) = label(front, model=wire, include=["top"], top_k=3).json()["results"]
    assert [len(place) for place in best["top"]["better"]["ids"]] == [3, 3, 3]
    named = label(front, model=wire, include=["named"])
    if wire == "vllm":
        assert named.status_code == 422
        assert "wire vllm-generate" in named.json()["errors"][0]["detail"]
    else:
        assert named.json()["results"][0]["named"]["better"]["ids"] == [[7, 8]] * 3


def test_models_say_what_they_lack(front: Stack) -> None:
    found = {model["name"]: model["lacks"] for model in http.get(front.url + "/v1/models").json()["models"]}
    assert found == {"vllm": ["moments", "named"], "vllm-generate": ["moments"], "sglang": ["moments"]}


def test_every_model_that_scores_a_branch_has_to_have_it(front: Stack) -> None:
    asked = {"model": "sglang", "template": "opposite", "include": ["named"]}
    refused = label(front, **asked, models={"worse": "vllm"})
    assert refused.status_code == 422
    assert "the workers of vllm cannot give 'named'" in refused.json()["detail"]
    assert label(front, **asked, models={"worse": "vllm-generate"}).status_code == 200
