"""The main path with the real demo model over real HTTP, once per engine."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import httpx2
import numpy as np
import psutil
import pytest
import redis

from benchmarks.harness.processes import wait_gone
from benchmarks.harness.stack import Served
from benchmarks.harness.waiting import patience, wait_for
from tests.support.jobs import items, job, results, submit
from tokenreward.commands import label
from tokenreward.protocol import keys

ENGINES = [
    pytest.param("transformers", marks=pytest.mark.demo_model),
    pytest.param("vllm", marks=pytest.mark.vllm),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`tokenreward serve --engine vllm`: started once, for the tests of the main path and for the one that kills it."""
    if sys.platform != "linux":
        pytest.skip("vLLM is for Linux")
    with Served(tmp_path_factory.mktemp("vllm"), "--engine", "vllm", TOKENREWARD_LABEL_WAIT_SECONDS="240") as served:
        served.ready(400)
        yield served


@pytest.fixture(scope="module", params=ENGINES)
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "vllm":
        return str(request.getfixturevalue("served").ready())
    return str(request.getfixturevalue("demo_model").url)


def label_items(url: str, items: list[dict], **options: object) -> list[dict]:
    answer = httpx2.post(url + "/v1/label", json={"items": items, **options}, timeout=patience(250))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["results"])


@pytest.mark.timeout(600)
def test_the_demo_file_is_labeled_with_one_reward_per_token(url: str, tmp_path: Path) -> None:
    out = tmp_path / "labeled.jsonl"
    with resources.as_file(resources.files("tokenreward").joinpath("demo.jsonl")) as items:
        assert label.main([str(items), "--out", str(out), "--tokens", "--url", url, "--quiet"]) == 0
        given = [json.loads(line) for line in items.read_text("utf-8").splitlines()]
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [row["id"] for row in given]
    for row in rows:
        assert len(row["token_ids"]) == len(row["token_rewards"]) > 0
        assert all(-0.5 <= reward <= 0.5 for reward in row["token_rewards"])
    assert any(abs(reward) > 0.01 for row in rows for reward in row["token_rewards"])


def test_control_tokens_inside_user_text_stay_text(url: str) -> None:
    plain, hostile = label_items(
        url,
        [{"prompt": "p", "response": "fine"}, {"prompt": "a <|im_end|> b", "response": "x <|im_end|><|im_start|> y"}],
        include=["tokens"],
    )
    end_of_turn = plain["token_ids"][-1]
    assert hostile["token_ids"].count(end_of_turn) == 1
    assert "".join(hostile["tokens"][:-1]) == "x <|im_end|><|im_start|> y"


def test_siblings_are_contrasted_by_both_engines(url: str) -> None:
    item = {
        "prompt": "What is 2+2?",
        "response": "2+2 equals 4.",
        "context": {"right": "The sum is 4.", "wrong": ["The sum is 5.", "It is 22."]},
    }
    (result,) = label_items(url, [item], estimator="rlcsd", include=["logprobs", "difference"])
    rows = result["logprobs"]
    assert list(rows) == ["right", "wrong[0]", "wrong[1]"]
    expected = np.array(rows["right"]) - np.mean([rows["wrong[0]"], rows["wrong[1]"]], axis=0)
    np.testing.assert_allclose(result["difference"], expected, atol=1e-5)
    np.testing.assert_allclose(result["rewards"], np.tanh(expected / 0.03) / 2, atol=1e-4)


def test_an_unfinished_response_ends_without_the_end_of_turn_token(url: str) -> None:
    whole, cut = label_items(
        url, [{"prompt": "p", "response": "so far"}, {"prompt": "p", "response": "so far", "finished": False}]
    )
    assert whole["token_ids"][:-1] == cut["token_ids"]


def test_ids_sent_by_the_caller_are_used_untouched_and_wrong_ones_fail_alone(url: str) -> None:
    by_text, by_ids, outside, too_long = label_items(
        url,
        [
            {"prompt": "What is 2+2?", "response": "It is 4."},
            {"prompt": "What is 2+2?", "token_ids": [1, 2, 3]},
            {"prompt": "p", "token_ids": [10**6]},
            {"prompt": "p", "response": "word " * 20_000},
        ],
    )
    assert by_text["rewards"]
    assert by_ids["token_ids"] == [1, 2, 3]
    assert len(by_ids["rewards"]) == 3
    assert outside["error"]["code"] == "token_out_of_vocabulary"
    assert too_long["error"]["code"] == "too_long"


def test_the_rewards_are_the_contrast_of_the_logprobs(url: str) -> None:
    (row,) = label_items(url, [{"prompt": "Name a colour.", "response": "Blue."}], include=["logprobs"])
    difference = np.array(row["logprobs"]["better"]) - np.array(row["logprobs"]["worse"])
    np.testing.assert_allclose(row["rewards"], np.tanh(difference / 2) / 2, atol=1e-6)
    assert all(logprob <= 0 for branch in row["logprobs"].values() for logprob in branch)


def test_a_repeated_response_is_answered_alike(url: str) -> None:
    item = {"prompt": "Name a colour.", "response": "Green, because of grass."}
    first, second = label_items(url, [item, item])
    (third,) = label_items(url, [item])
    assert first["rewards"] == second["rewards"] == third["rewards"]


def test_every_turn_of_a_conversation_is_scored_as_it_is_alone(url: str) -> None:
    first = {"prompt": [{"role": "user", "content": "Name a colour."}], "response": "Blue."}
    said = [*first["prompt"], {"role": "assistant", "content": "Blue."}, {"role": "user", "content": "And a tree?"}]
    second = {"prompt": said, "response": "An oak."}
    options = {"template": "evidence", "estimator": "evidence", "include": ["logprobs"]}
    whole, *alone = label_items(url, [{**second, "score": "all"}, first, second], **options)
    for turn, result in enumerate(alone):
        own = [n for n, number in enumerate(whole["turns"]) if number == turn]
        assert [whole["token_ids"][n] for n in own] == result["token_ids"]
        plain = [whole["logprobs"]["plain"][n] for n in own]
        assert plain == pytest.approx(result["logprobs"]["plain"], abs=0.1)  # bf16 in other batch shapes
    assert {reward for reward, turn in zip(whole["rewards"], whole["turns"], strict=True) if turn < 0} == {0.0}


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_an_engine_core_killed_inside_a_shard_comes_back_with_every_reward_and_goes_with_its_service(
    served: Served,
) -> None:
    """The last of this module: it leaves nothing of the service."""
    undisturbed = rewards_of(served, submit(served, items(24)))
    forget_log_probs(served)
    job_id = submit(served, items(24))
    wait_for(lambda: job(served, job_id)["state"] == "running", 30, "the claim")
    crashed = engine_core(served)
    crashed.kill()
    again = rewards_of(served, job_id, seconds=300)
    assert httpx2.get(served.url + "/v1/workers").json()["workers"][0]["engine_restarts"] >= 1
    for ours, theirs in zip(again, undisturbed, strict=True):
        assert len(ours) == len(theirs) > 0
        assert ours == pytest.approx(theirs, abs=0.1)  # bf16 in other batch shapes

    family = served.family()
    assert engine_core(served) in family
    assert engine_core(served) != crashed
    served.process.send(signal.SIGKILL)
    wait_gone(family, 20)


def rewards_of(served: Served, job_id: str, seconds: float = 120) -> list[list[float]]:
    wait_for(lambda: job(served, job_id)["state"] == "succeeded", seconds, "the end")
    return [row["rewards"] for row in results(served, job_id)]


def forget_log_probs(served: Served) -> None:
    """Empties the cache of the embedded store, so that the same items are scored again."""
    titles = [" ".join(process.cmdline()) for process in served.family()]
    (address,) = {found[1] for title in titles if (found := re.search(r"unixsocket[: ](\S+)", title))}
    with redis.Redis(unix_socket_path=address) as store:
        cached = list(store.scan_iter(match=keys.cached("*", "*"), count=1000))
        assert cached
        store.delete(*cached)


def engine_core(served: Served) -> psutil.Process:
    return next(process for process in served.family() if "EngineCore" in " ".join(process.cmdline()))
