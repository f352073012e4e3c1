"""What a worker's start makes known of its model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.stack import Stack
from tokenreward.protocol import keys
from tokenreward.protocol.spill import Spill
from tokenreward.protocol.worker_records import ModelRecord
from tokenreward.schema import Fingerprint
from tokenreward_workers.store.job_store import JobStoreClient

FINGERPRINT = Fingerprint(
    model="tiny", model_hash="m", tokenizer_hash="t", engine="remote", engine_version="1", dtype="float32"
)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


def test_a_model_is_known_as_the_last_worker_that_started_has_it(valkey: Stack) -> None:
    store = JobStoreClient(valkey.redis, "w", FINGERPRINT.digest, Spill(None, 1), 20)

    def known() -> ModelRecord:
        return ModelRecord.model_validate_json(valkey.redis.hget(keys.MODELS, FINGERPRINT.digest) or b"")

    store.register(ModelRecord(fingerprint=FINGERPRINT, max_tokens=100, since=1.0))
    store.register(ModelRecord(fingerprint=FINGERPRINT, max_tokens=50, since=2.0, lacks=["moments"]))
    assert (known().max_tokens, known().since, known().lacks) == (50, 1.0, ["moments"])

    valkey.redis.hset(keys.MODELS, FINGERPRINT.digest, "no record")
    store.register(ModelRecord(fingerprint=FINGERPRINT, max_tokens=100, since=3.0))
    assert known().since == 3.0
