"""What proves an endpoint, again and again: its tokenizer, the name of its model, and the rows of a fixed text."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.stack import Stack
from tests.support.fake_endpoint import FakeEndpoint
from tests.support.tiny_checkpoint import save_checkpoint
from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput
from tokenreward.schema import Fingerprint
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.remote.endpoint import Away, Endpoint
from tokenreward_workers.engines.remote.endpoint_pool import EndpointPool
from tokenreward_workers.engines.remote.endpoint_proof import EndpointProof, NotReady, Swapped
from tokenreward_workers.engines.remote.engine import RemoteEngine
from tokenreward_workers.engines.remote.settings import RemoteSettings
from tokenreward_workers.engines.remote.wires.vllm_completions import CompletionsWire
from tokenreward_workers.model_files.fingerprint import fingerprint
from tokenreward_workers.process.replicas import compare_with_first
from tokenreward_workers.scoring import Scoring, ScoringFailed
from tokenreward_workers.store.probes import Probes

pytestmark = pytest.mark.processes

SETTINGS = RemoteSettings(("http://fake",), "vllm")
WORK = [Scoring((4, 5), {"a": (6,)}, (7, 8))]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def chat(checkpoint: Path) -> ChatFormat:
    return ChatFormat.load(checkpoint)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("valkey")) as stack:
        yield stack


@pytest.fixture
def fake(chat: ChatFormat) -> Iterator[FakeEndpoint]:
    with FakeEndpoint(chat) as fake:
        yield fake


def engine(fake: FakeEndpoint, chat: ChatFormat) -> RemoteEngine:
    return RemoteEngine(RemoteSettings((fake.url,), "vllm"), chat, 300)


def proved(proof: EndpointProof, *fakes: FakeEndpoint) -> list[BaseException | None]:
    """The outcomes of proofs that are under way at the same time."""

    async def prove() -> list[BaseException | None]:
        endpoints = [Endpoint(fake.url, SETTINGS) for fake in fakes]
        outcomes = await asyncio.gather(*map(proof.prove, endpoints), return_exceptions=True)
        for endpoint in endpoints:
            await endpoint.aclose()
        return outcomes

    return asyncio.run(prove())


def test_a_model_that_was_swapped_while_no_worker_ran_is_refused_with_both_figures(chat, fake, valkey: Stack) -> None:
    probes = Probes(valkey.redis, "w", "swapped")
    identity = Fingerprint(
        model="m", model_hash="", tokenizer_hash="", engine="remote", engine_version="", dtype="unverified"
    )

    def start() -> None:
        started = engine(fake, chat)
        started.close()
        compare_with_first(started.reference, identity, probes)

    start()
    start()
    fake.model_seed = 1
    for _ in range(2):  # what is refused is not remembered
        with pytest.raises(
            BadInput, match=r"[\d.]+ apart \(mean\).*where 0\.1 may be noise.*--model-name.*--weights-hash"
        ):
            start()


def test_endpoints_that_are_proved_at_once_are_compared_with_each_other(chat, fake) -> None:
    with FakeEndpoint(chat) as other:
        other.models = ["another"]
        outcomes = proved(EndpointProof(SETTINGS, chat, CompletionsWire()), fake, other)
    assert sorted(type(outcome) for outcome in outcomes if outcome is not None) == [Swapped]


def test_every_endpoint_has_to_tokenize_as_we_do(chat, fake) -> None:
    with FakeEndpoint(chat, shift=1) as other:
        proof = EndpointProof(SETTINGS, chat, CompletionsWire())
        assert proved(proof, fake) == [None]
        (outcome,) = proved(proof, other)
    assert isinstance(outcome, BadInput)
    assert "another tokenizer" in str(outcome)


@pytest.mark.parametrize(
    "path", ["/v1/models", "/version", "/tokenize", "/v1/completions", "no models", "other models"]
)
def test_an_endpoint_that_is_not_ready_is_waited_for_once_the_worker_serves(chat, fake, path: str) -> None:
    proof = EndpointProof(SETTINGS, chat, CompletionsWire())
    assert proved(proof, fake) == [None]
    fake.models = {"no models": [], "other models": ["x"]}.get(path, fake.models)
    fake.answers = {path: 404}
    settings = RemoteSettings((fake.url,), "vllm", model="fake")
    proof._settings = settings
    assert [type(outcome) for outcome in proved(proof, fake)] == [NotReady]
    proof.serving = True
    assert [type(outcome) for outcome in proved(proof, fake)] == [Away]


def test_work_waits_for_an_endpoint_that_knows_its_model_no_more_for_a_while(chat, fake) -> None:
    serving = engine(fake, chat)
    fake.answers = {"/v1/completions": 404}

    def back() -> None:
        time.sleep(0.3)
        fake.answers = {}

    thread = threading.Thread(target=back)
    thread.start()
    try:
        assert not isinstance(score_all(serving, WORK)[0], ScoringFailed)
    finally:
        thread.join()
        serving.close()


def test_those_who_wait_for_a_proof_that_fails_do_not_prove_again_one_by_one(chat, fake) -> None:
    fake.answers = {"/v1/models": 503}

    async def wait() -> None:
        resting = asyncio.Event()

        class Watched(Endpoint):
            def rest(self, error: Away, now: float) -> None:
                super().rest(error, now)
                resting.set()

        endpoint = Watched(fake.url, SETTINGS)
        pool = EndpointPool([endpoint], 8, EndpointProof(SETTINGS, chat, CompletionsWire()))
        posts = [asyncio.create_task(pool.post("/v1/completions", {})) for _ in range(8)]
        await resting.wait()
        await asyncio.sleep(0.1)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        await pool.aclose()

    asyncio.run(wait())
    assert fake.asked["/v1/models"] == 1


def test_a_folder_with_a_tokenizer_alone_has_a_fingerprint_where_endpoints_score(
    chat, fake, checkpoint, tmp_path
) -> None:
    for file in checkpoint.glob("token*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    alone = ChatFormat.load(tmp_path)
    serving = engine(fake, alone)
    serving.close()
    assert fingerprint("m", tmp_path, alone, serving.info).training_data_hash is None
    assert np.isfinite(serving.reference).all()
