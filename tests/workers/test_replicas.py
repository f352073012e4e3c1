"""Workers with one fingerprint compare their probes, and one that says something else is refused with both figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.stack import Stack, http
from benchmarks.harness.waiting import wait_for
from tests.support.tiny_checkpoint import save_checkpoint
from tokenreward.errors import BadInput
from tokenreward.protocol import keys
from tokenreward.schema import Fingerprint
from tokenreward_workers.process.replicas import compare_with_others
from tokenreward_workers.process.supervisor import HOPELESS
from tokenreward_workers.store.probes import Probes

pytestmark = pytest.mark.processes

IDENTITY = Fingerprint(
    model="tiny", model_hash="m", tokenizer_hash="t", engine="vllm", engine_version="1", dtype="bfloat16"
)
PROBE = np.linspace(-8, 0, 64, dtype=np.float32)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("replicas")) as stack:
        stack.start_api()
        yield stack


def probes(stack: Stack, worker: str, fingerprint: str = IDENTITY.digest) -> Probes:
    return Probes(stack.redis, worker, fingerprint)


def test_what_the_arithmetic_may_make_is_said_and_what_it_may_not_is_refused(stack: Stack) -> None:
    assert compare_with_others(PROBE, IDENTITY, probes(stack, "first")) is None
    near = compare_with_others(PROBE - np.float32(0.1), IDENTITY, probes(stack, "near"))
    assert near is not None
    assert (near.worker, near.allowed) == ("first", 0.5)
    assert near.apart == pytest.approx(0.1)
    far = probes(stack, "far")
    with pytest.raises(BadInput, match=r"worker near serves tiny@.*1\.1 apart \(mean\), where bfloat16 may make 0\.5"):
        compare_with_others(PROBE + np.float32(1), IDENTITY, far)
    assert set(probes(stack, "last").others()) == {"first", "near"}, "the refused one has left nothing"
    with pytest.raises(BadInput, match="nan apart"):
        compare_with_others(PROBE * np.float32(np.nan), IDENTITY, far)


def test_workers_that_are_gone_and_probes_of_another_length_do_not_count(stack: Stack) -> None:
    key = keys.probes("f")
    stack.redis.hset(key, "gone", np.array([1.0]).tobytes() + PROBE.tobytes())
    stack.redis.hset(key, "odd", b"nonsense")
    probes(stack, "short", "f").publish(PROBE[:8])
    identity = probes(stack, "new", "f")
    assert compare_with_others(PROBE, IDENTITY, identity) is None
    assert not stack.redis.hexists(key, "gone")
    assert compare_with_others(np.zeros(0, dtype=np.float32), IDENTITY, identity) is None


def test_a_second_worker_says_how_it_compared_and_a_third_that_disagrees_ends_for_good(
    stack: Stack, tmp_path: Path
) -> None:
    model = save_checkpoint(tmp_path / "model")
    settings = {"TOKENREWARD_MODEL": str(model), "TOKENREWARD_DTYPE": "float32", "OMP_NUM_THREADS": "1"}
    for count in (1, 2):
        stack.start_worker(engine="transformers", **settings)
        stack.wait_ready(count)
    first, second = http.get(stack.url + "/v1/workers").json()["workers"]
    assert first["comparison"] is None
    assert second["comparison"]["worker"] == first["id"]
    assert second["comparison"]["apart"] < 1e-5
    assert second["comparison"]["allowed"] == 0.01
    other = Probes(stack.redis, first["id"], first["fingerprint_digest"])
    other.publish(np.full(1024, -50, dtype=np.float32))  # as a card would that computes something else
    third = stack.start_worker(engine="transformers", **settings)
    assert third.wait(60) == HOPELESS
    assert f"worker {first['id']} serves model@" in third.output()
    wait_for(lambda: len(http.get(stack.url + "/v1/workers").json()["workers"]) == 2, 5, "the others live")
