"""The remote engine over our own wires: the rows of the engine behind them, also through an outage and a swap."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.stack import Stack
from tests.support.fake_endpoint import FakeEndpoint
from tests.support.tiny_checkpoint import save_checkpoint
from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.probe import probe
from tokenreward_workers.engines.remote.ask import Ask
from tokenreward_workers.engines.remote.cache_salts import CacheSalts
from tokenreward_workers.engines.remote.endpoint import Refused
from tokenreward_workers.engines.remote.endpoint_proof import Swapped
from tokenreward_workers.engines.remote.engine import RemoteEngine
from tokenreward_workers.engines.remote.settings import RemoteSettings
from tokenreward_workers.model_files.fingerprint import fingerprint
from tokenreward_workers.scoring import Scoring, ScoringFailed
from tokenreward_workers.wanted import NamedIds, Wanted

pytestmark = pytest.mark.processes

SCORINGS = [Scoring(tuple(range(3, 90)), {"a": (1, n), "b": (2, 4)}, tuple(range(n + 3, n + 40))) for n in range(20)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def chat(checkpoint: Path) -> ChatFormat:
    return ChatFormat.load(checkpoint)


@pytest.fixture(scope="module")
def endpoint(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A tokenreward service with a tiny model in float32."""
    settings = {"TOKENREWARD_MODEL": str(checkpoint), "TOKENREWARD_DTYPE": "float32"}
    with Stack(tmp_path_factory.mktemp("endpoint"), settings) as stack:
        stack.start_worker(engine="transformers")
        stack.start_api()
        stack.wait_ready()
        yield stack


@pytest.fixture(scope="module")
def expected(checkpoint: Path) -> list[dict[str, np.ndarray]]:
    from tokenreward_workers.engines.packed.engine import TransformersEngine

    engine = TransformersEngine(checkpoint, "float32")
    return [{branch: row.logprobs for branch, row in out.items()} for out in score_all(engine, SCORINGS)]  # type: ignore[union-attr]


def rows(engine: RemoteEngine) -> list[dict[str, np.ndarray]]:
    outcomes = score_all(engine, SCORINGS)
    assert not any(isinstance(outcome, ScoringFailed) for outcome in outcomes), outcomes
    return [{branch: row.logprobs for branch, row in outcome.items()} for outcome in outcomes]  # type: ignore[union-attr]


def check(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert set(one) == set(other)
        for branch in one:
            np.testing.assert_allclose(one[branch], other[branch], atol=2e-4)


@pytest.mark.parametrize("wire", ["vllm", "vllm-generate", "sglang"])
def test_every_wire_gives_the_rows_of_the_engine_behind_it(endpoint, chat, expected, wire) -> None:
    engine = RemoteEngine(RemoteSettings((endpoint.url,), wire), chat, chat.tokenizer.vocabulary)
    try:
        check(rows(engine), expected)
        assert probe(engine).tokens_per_second > 0
        assert engine.stats.branches >= 40
    finally:
        engine.close()


@pytest.mark.parametrize("wire", ["vllm", "vllm-generate", "sglang"])
@pytest.mark.parametrize("wanted", [Wanted(top=3), Wanted(ids=NamedIds.of([[5, 6]] * 37))], ids=["top", "named"])
def test_what_is_wanted_beside_log_probs_is_that_of_the_engine_behind_it(
    endpoint, chat, checkpoint, wire, wanted
) -> None:
    from tokenreward_workers.engines.packed.engine import TransformersEngine

    work = [replace(scoring, wanted=wanted) for scoring in SCORINGS[:3]]
    engine = RemoteEngine(RemoteSettings((endpoint.url,), wire), chat, chat.tokenizer.vocabulary)
    found, expected = score_all(engine, work), score_all(TransformersEngine(checkpoint, "float32"), work)
    engine.close()
    if wire == "vllm" and wanted.ids is not None:
        assert all(isinstance(outcome, ScoringFailed) and "named ids" in outcome.message for outcome in found)
        return
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, dict), one
        for branch, row in one.items():
            np.testing.assert_allclose(row.columns, other[branch].columns, atol=2e-4)  # type: ignore[index]


def test_moments_are_refused_and_not_left_out(endpoint, chat) -> None:
    engine = RemoteEngine(RemoteSettings((endpoint.url,)), chat, chat.tokenizer.vocabulary)
    (outcome,) = score_all(engine, [replace(SCORINGS[0], wanted=Wanted(moments=True))])
    engine.close()
    assert isinstance(outcome, ScoringFailed)
    assert "moments" in outcome.message


def test_the_fingerprint_says_remote_and_that_nobody_vouches_for_the_weights(endpoint, chat, checkpoint) -> None:
    engine = RemoteEngine(RemoteSettings((endpoint.url,)), chat, chat.tokenizer.vocabulary)
    engine.close()
    made = fingerprint(engine.info.model or "", checkpoint, chat, engine.info)
    assert (made.engine, made.model, made.model_hash, made.dtype) == (
        *("remote", checkpoint.name, "unverified", "unverified"),
    )
    vouched = RemoteEngine(RemoteSettings((endpoint.url,), weights="abc"), chat, chat.tokenizer.vocabulary)
    vouched.close()
    assert fingerprint("m", checkpoint, chat, vouched.info).model_hash == "abc"


def test_work_waits_while_the_endpoint_is_away_and_nothing_is_lost(endpoint, chat, expected) -> None:
    engine = RemoteEngine(RemoteSettings((endpoint.url,), "vllm", requests=2), chat, chat.tokenizer.vocabulary)
    port = int(endpoint.url.rsplit(":", 1)[1])
    assert endpoint.api is not None
    endpoint.api.kill()

    def back() -> None:
        time.sleep(2)
        endpoint.start_api(port)

    thread = threading.Thread(target=back)
    thread.start()
    try:
        check(rows(engine), expected)
    finally:
        thread.join()
        engine.close()


def test_another_tokenizer_than_the_endpoints_is_refused(endpoint, tmp_path) -> None:
    other = ChatFormat.load(save_checkpoint(tmp_path, added=("<|more|>",)))
    with pytest.raises(BadInput, match="another tokenizer"):
        RemoteEngine(RemoteSettings((endpoint.url,)), other, other.tokenizer.vocabulary)


def test_work_is_shared_among_endpoints(chat) -> None:
    with FakeEndpoint(chat) as one, FakeEndpoint(chat) as two:
        engine = RemoteEngine(RemoteSettings((one.url, two.url), "vllm", requests=2), chat, 300)
        before = one.scored, two.scored
        rows(engine)
        engine.close()
        assert one.scored - before[0] > 3
        assert two.scored - before[1] > 3


def test_a_model_that_was_swapped_behind_its_name_is_noticed(chat) -> None:
    with FakeEndpoint(chat) as fake:
        engine = RemoteEngine(RemoteSettings((fake.url,), "vllm"), chat, 300)
        rows(engine)
        fake.model_seed = 1
        fake.fail(1)  # an endpoint that has been away is proved anew
        with pytest.raises(Swapped, match="another model"):
            rows(engine)
        engine.close()


def test_an_endpoint_with_another_tokenizer_is_refused_by_the_ids_of_a_text(chat) -> None:
    with FakeEndpoint(chat, shift=1) as fake, pytest.raises(BadInput, match="at token 0 of a text"):
        RemoteEngine(RemoteSettings((fake.url,), "vllm"), chat, 300)


def test_an_endpoint_that_is_busy_is_asked_again(chat) -> None:
    with FakeEndpoint(chat) as fake:
        engine = RemoteEngine(RemoteSettings((fake.url,), "vllm", requests=4), chat, 300)
        fake.fail(3, status=429)
        rows(engine)
        engine.close()


def test_what_the_endpoint_refuses_fails_alone(chat) -> None:
    with FakeEndpoint(chat) as fake:
        engine = RemoteEngine(RemoteSettings((fake.url,), "vllm"), chat, 300)
        fake.refuses = 7
        outcomes = score_all(engine, [Scoring((4, 5), {"a": (6,)}, (7, 8)), Scoring((4, 5), {"a": (6,)}, (8, 9))])
        engine.close()
        assert isinstance(outcomes[0], ScoringFailed)
        assert "refuses token 7" in outcomes[0].message
        assert not isinstance(outcomes[1], ScoringFailed)


@pytest.mark.parametrize("status", [400, 500])
def test_rows_that_the_cache_left_empty_are_asked_for_without_it(endpoint, chat, expected, status, monkeypatch) -> None:
    engine = RemoteEngine(RemoteSettings((endpoint.url,), "vllm-generate"), chat, 300)
    post = engine._pool.post

    async def without_json(path, body, *, cached=False):
        if cached:
            raise Refused(status, "Out of range float values are not JSON compliant")
        return await post(path, body, cached=cached)

    monkeypatch.setattr(engine._pool, "post", without_json)
    check(rows(engine), expected)
    assert engine.stats.rescored == sum(len(scoring.branches) for scoring in SCORINGS)
    engine.close()


def test_no_endpoint_at_all_is_one_line(chat) -> None:
    with pytest.raises(BadInput, match="no endpoint answered"):
        RemoteEngine(RemoteSettings(("http://127.0.0.1:9",), start_seconds=0.1), chat, 300)


@pytest.mark.parametrize(
    ("endpoints", "said"), [((), "--endpoint"), (("host:80",), "http://HOST:PORT"), (("http://h/v1",), "leave out /v1")]
)
def test_addresses_that_cannot_be_right_are_refused(endpoints, said) -> None:
    with pytest.raises(BadInput, match=said):
        RemoteSettings(endpoints)


def test_a_request_shares_no_cache_with_one_that_begins_like_its_scored_part() -> None:
    salts = CacheSalts()
    prompt = list(range(50))
    first = salts.of(Ask([*prompt, 1, 2], 50))
    assert salts.of(Ask([*prompt[:40], 99, 1], 41)) == first  # differs inside its prompt
    assert salts.of(Ask([*prompt, 3, 4], 50)) != first  # its whole prompt is cached, and so is its first scored row
    assert salts.of(Ask([*prompt, 1, 2], 50)) != first


def test_a_request_whose_prompt_reaches_into_rows_that_are_not_computed_yet_shares_no_cache_with_them() -> None:
    salts = CacheSalts()
    prompt = list(range(50))
    waiting = Ask([*prompt, 1, 2, 3], 50)
    shared = salts.of(waiting)
    longer = Ask([*prompt, 1, 2, 7, 8], 53)
    assert salts.of(longer) != shared
    assert not salts.may_go_ahead((*prompt, 1))
    assert salts.may_go_ahead(tuple(prompt[:40]))
    assert not salts.may_go_ahead(tuple(prompt[:40])), "once is enough"
    salts.answered(waiting, shared)
    assert salts.of(longer) == shared
