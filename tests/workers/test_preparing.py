"""From claims to scorings, with a real job store: what is read, rendered, looked up, and done once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.harness.stack import Stack
from tests.support.worker_shards import FINGERPRINT, give_rows, put, shard_of
from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import result_rows, unpack_results
from tokenreward.protocol.records import JobSlice
from tokenreward.protocol.spill import Spill
from tokenreward.schema import ItemFailure
from tokenreward.schema.provenance import TOKEN_CLASSIFIER
from tokenreward_workers.engines.synthetic import VOCABULARY, chat_format
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.scoring import ScoringFailed
from tokenreward_workers.shards import logprob_cache
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.logprob_cache import LogprobCache
from tokenreward_workers.shards.outcomes import outcomes
from tokenreward_workers.shards.preparing import Preparer
from tokenreward_workers.store.job_store import JobStoreClient


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("store")) as stack:
        yield stack


@pytest.fixture
def store(valkey: Stack) -> JobStoreClient:
    valkey.redis.flushall()
    return JobStoreClient(valkey.redis, "w", FINGERPRINT.digest, Spill(None, 1), 20)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(chat_format(), 2_000, VOCABULARY)


def test_identical_work_within_a_shard_is_done_once_even_for_two_jobs(
    store: JobStoreClient, renderer: Renderer
) -> None:
    shard = shard_of(put(store, "one", ["same", "other", "same"]), put(store, "two", ["same"]))
    Preparer(store, renderer, LogprobCache(store, 0)).prepare([shard])
    assert [len(places) for places in shard.wanted_by] == [3, 1]
    give_rows(shard)
    assert shard.settled


def test_several_shards_are_prepared_together_and_kept_apart(store: JobStoreClient, renderer: Renderer) -> None:
    shards = [shard_of(put(store, job, ["same", job])) for job in ("one", "two")]
    Preparer(store, renderer, LogprobCache(store, 60)).prepare(shards)
    assert [len(shard.scorings) for shard in shards] == [2, 2]
    assert [place.id for shard in shards for place in shard.places] == ["0", "1", "0", "1"]


def test_items_that_cannot_be_read_fail_in_their_places_and_the_others_do_not(
    store: JobStoreClient, renderer: Renderer
) -> None:
    gone, fine = JobSlice(job="gone", slice=0, offset=0, count=2), put(store, "fine", ["a"])
    broken = put(store, "broken", ["b"])
    store.client.hset(keys.items("broken"), 0, b"i" + b"ARROW1\0\0" * 10)
    shard = shard_of(gone, fine, broken)
    Preparer(store, renderer, LogprobCache(store, 0)).prepare([shard])
    codes = [place.failure.code if place.failure else None for place in shard.places]
    assert codes == ["engine_error", "engine_error", None, "engine_error"]
    assert len(shard.scorings) == 1


def test_an_item_that_is_too_long_fails_alone(store: JobStoreClient, renderer: Renderer) -> None:
    shard = shard_of(put(store, "j", ["short", "long " * 1000]))
    Preparer(store, renderer, LogprobCache(store, 0)).prepare([shard])
    assert shard.places[0].failure is None
    assert isinstance(shard.places[1].failure, ItemFailure)
    assert shard.places[1].failure.code == "too_long"


def test_an_estimator_of_tomorrow_fails_every_item(store: JobStoreClient, renderer: Renderer) -> None:
    shard = shard_of(put(store, "j", ["a", "b"]), estimator="of-tomorrow")
    Preparer(store, renderer, LogprobCache(store, 0)).prepare([shard])
    assert all("unknown estimator" in place.failure.message for place in shard.places if place.failure)
    assert shard.settled
    assert not shard.scorings


def test_an_estimator_that_cannot_use_the_model_fails_every_item(store: JobStoreClient, renderer: Renderer) -> None:
    shard = shard_of(put(store, "j", ["a", "b"]))
    options = shard.claim.jobs["j"]
    judge = FINGERPRINT.model_copy(update={"engine": "transformers", "head": TOKEN_CLASSIFIER})
    pinned = options.model_copy(update={"provenance": options.provenance.model_copy(update={"fingerprint": judge})})
    shard = ClaimedShard(shard.claim.model_copy(update={"jobs": {"j": pinned}}))
    Preparer(store, renderer, LogprobCache(store, 0)).prepare([shard])
    assert ["is a token classifier" in place.failure.message for place in shard.places if place.failure] == [True] * 2
    assert not shard.scorings


def test_a_shard_on_which_rendering_has_a_bug_is_blamed_and_its_neighbour_is_not(
    store: JobStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = Renderer(chat_format(), 2_000, VOCABULARY)
    prepared = renderer.prepare

    def with_a_bug(items, *options):  # type: ignore[no-untyped-def]
        if items[0].response == "bug":
            raise TypeError("a bug")
        return prepared(items, *options)

    monkeypatch.setattr(renderer, "prepare", with_a_bug)
    shards = [shard_of(put(store, "fine", ["a"])), shard_of(put(store, "bad", ["bug"]))]
    with pytest.raises(TypeError):
        Preparer(store, renderer, LogprobCache(store, 0)).prepare(shards)
    assert [shard.blamed for shard in shards] == [False, True]


def test_what_was_kept_is_not_scored_again(store: JobStoreClient, renderer: Renderer) -> None:
    cache = LogprobCache(store, 60)
    first = shard_of(put(store, "one", ["a", "b"]))
    Preparer(store, renderer, cache).prepare([first])
    give_rows(first)
    cache.keep([first])
    again = shard_of(put(store, "two", ["b", "c", "a"]))
    Preparer(store, renderer, cache).prepare([again])
    assert again.cache_hits == 2
    assert len(again.scorings) == 1
    scored = again.places[0].scored
    assert scored is not None
    assert scored.keys() == first.scorings[1].branches.keys()
    np.testing.assert_array_equal(next(iter(scored.values())).logprobs, -2)


def test_cached_values_that_are_wrong_are_scored_again(store: JobStoreClient, renderer: Renderer) -> None:
    shard = shard_of(put(store, "j", ["ab"]))
    Preparer(store, renderer, LogprobCache(store, 60)).prepare([shard])
    (hashes,) = shard.hashes
    length = len(shard.scorings[0].response)
    nan, positive = np.full(length, np.nan, np.float32), np.ones(length, np.float32)
    for wrong in (b"xyz", np.zeros(length + 1, np.float32).tobytes(), nan.tobytes(), positive.tobytes()):
        store.cache([(name, wrong) for name in hashes.values()], 60)
        again = shard_of(put(store, "j", ["ab"]))
        Preparer(store, renderer, LogprobCache(store, 60)).prepare([again])
        assert len(again.scorings) == 1


def test_nothing_is_kept_while_the_store_is_nearly_full(
    store: JobStoreClient, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "memory_share", lambda: 0.61)
    shard = shard_of(put(store, "j", ["a"]))
    Preparer(store, renderer, LogprobCache(store, 60)).prepare([shard])
    give_rows(shard)
    LogprobCache(store, 60).keep([shard])
    assert not list(store.client.scan_iter(match="tr:cache:*"))


def test_every_branch_has_a_key_of_its_own() -> None:
    assert logprob_cache.content_hash([1, 2], [3]) != logprob_cache.content_hash([1], [2, 3])


def test_outcomes_are_packed_for_each_member_in_its_order(store: JobStoreClient, renderer: Renderer) -> None:
    shard = shard_of(put(store, "one", ["ab", "long " * 1000]), put(store, "two", ["cd"]), include=("logprobs",))
    Preparer(store, renderer, LogprobCache(store, 0)).prepare([shard])
    give_rows(shard)
    first, second = outcomes(shard, renderer)
    assert (first.member.job, first.failed, second.member.job, second.failed) == ("one", 1, "two", 0)
    assert first.tokens == shard.scorings[0].tokens
    good, bad = result_rows(unpack_results(first.results))
    assert len(good["rewards"]) == len(good["token_ids"]) == len(shard.scorings[0].response)
    assert all(-0.5 <= reward <= 0.5 for reward in good["rewards"])
    assert set(good["logprobs"]) == {"better", "worse"}
    assert bad["error"]["code"] == "too_long"


def test_a_job_that_is_over_gets_no_outcome(store: JobStoreClient, renderer: Renderer) -> None:
    shard = shard_of(put(store, "over", ["a"]), put(store, "mine", ["b"]))
    Preparer(store, renderer, LogprobCache(store, 0)).prepare([shard])
    give_rows(shard)
    shard.unwanted = frozenset({"over"})
    assert [outcome.member.job for outcome in outcomes(shard, renderer)] == ["mine"]


def test_a_failed_scoring_is_an_error_of_its_item(store: JobStoreClient, renderer: Renderer) -> None:
    shard = shard_of(put(store, "j", ["a"]))
    Preparer(store, renderer, LogprobCache(store, 0)).prepare([shard])
    shard.settle(0, ScoringFailed("non_finite", "nan"))
    (outcome,) = outcomes(shard, renderer)
    (row,) = result_rows(unpack_results(outcome.results))
    assert row["error"] == {"code": "non_finite", "message": "nan"}
    assert outcome.tokens == 0  # a retry counts them once more
