"""A remote worker's endpoint is killed under load and comes back: every item ends right, and only once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.stack import Served, Stack, http
from benchmarks.harness.waiting import wait_for
from tests.support.jobs import in_progress, items, job, results, submit
from tests.support.tiny_checkpoint import save_checkpoint

#: How long the endpoint is gone: longer than a lease, so that a worker that showed no progress would lose its shards.
OUTAGE_SECONDS = 5.0
FRONT = {"TOKENREWARD_LEASE_SECONDS": "2", "TOKENREWARD_SHARD_ITEMS": "10", "TOKENREWARD_CACHE_TTL_SECONDS": "0"}
ITEMS = 120


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def endpoint(folder: Path, tokenizer: Path, port: int = 0) -> Served:
    """`tokenreward serve` with a synthetic model of that tokenizer, slow enough to be hit in the middle of its work."""
    folder.mkdir()
    settings = {"TOKENREWARD_SYNTHETIC_TOKENIZER": str(tokenizer), "TOKENREWARD_SYNTHETIC_RATE": "40"}
    return Served(folder, "--engine", "synthetic", port=port, TOKENREWARD_DATA_DIR=str(folder / "data"), **settings)


@pytest.fixture
def front(tokenizer: Path, tmp_path: Path) -> Iterator[tuple[Stack, Served]]:
    """A service whose only worker scores through an endpoint."""
    with endpoint(tmp_path / "endpoint", tokenizer) as behind:
        settings = {"TOKENREWARD_MODEL": str(tokenizer), "TOKENREWARD_ENDPOINT": behind.url}
        with Stack(tmp_path, FRONT | settings) as stack:
            stack.start_worker(engine="remote")
            stack.start_api()
            stack.wait_ready()
            yield stack, behind


@pytest.mark.slow
def test_an_endpoint_that_is_killed_under_load_and_restarted_loses_nothing(
    front: tuple[Stack, Served], tokenizer: Path, tmp_path: Path
) -> None:
    stack, behind = front
    url, work = behind.url, items(ITEMS)
    job_id = submit(stack, work)
    wait_for(lambda: in_progress(stack, job_id) and job(stack, job_id)["done_items"] > 0, 30, "work in progress")
    for process in [*behind.family(), behind.process.popen]:
        process.kill()
    time.sleep(OUTAGE_SECONDS)
    assert in_progress(stack, job_id)
    with endpoint(tmp_path / "again", tokenizer, int(url.rsplit(":", 1)[1])) as back:
        ended = wait_for(lambda: (now := job(stack, job_id))["state"] == "succeeded" and now, 90, "the end")
        assert (ended["done_items"], ended["failed_items"]) == (ITEMS, 0)
        rows = results(stack, job_id)
        assert [row["id"] for row in rows] == [item["id"] for item in work]
        direct = submit(back, work)
        wait_for(lambda: job(back, direct)["state"] == "succeeded", 60, "the endpoint's own labels")
        assert [row["rewards"] for row in rows] == [row["rewards"] for row in results(back, direct)]
    (worker,) = http.get(stack.url + "/v1/workers").json()["workers"]
    assert worker["items_done"] == ITEMS, "no shard was given to somebody else, and none was done twice"
