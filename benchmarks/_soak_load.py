"""The jobs of the fault soak, and the reckoning: every item of every accepted job against an undisturbed run."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import redis

from benchmarks._soak_adapters import ADAPTED, MODEL, AdapterFaults
from benchmarks.harness.replicas import Replicas
from benchmarks.harness.stack import Stack, http
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import wait_for

#: The name of the model that a remote worker serves.
REMOTE = "remote"
SHARD_ITEMS = 25
_GONE = "gone"
_SIZES = (1, 5, 40, 200)
#: Accepted; the adapter is being deleted; too much at once; the store or a model is away.
_EXPECTED = (202, 404, 422, 429, 503)
#: Enough items to keep the workers busy, and not so many that the end takes long.
_ENOUGH = 600


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a job was accepted with."""

    items: list[dict[str, Any]]
    remote: bool


class SoakLoad:
    """Submits jobs, each to one of the replicas, while its thread runs.

    A third of them names an adapter, a sixth the model behind the remote worker.

    Attributes:
        accepted: The jobs that were answered with 202, by their ids.
    """

    def __init__(
        self, stack: Stack, replicas: Replicas, adapters: AdapterFaults, tokenizer: Path, dice: random.Random
    ) -> None:
        self.accepted: dict[str, Accepted] = {}
        self._stack = stack
        self._replicas = replicas
        self._adapters = adapters
        self._tokenizer = tokenizer
        self._random = dice
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None

    def start(self) -> None:
        """Begin to submit."""
        self._running = self._pool.submit(self._submit_forever)

    def stop(self) -> None:
        """Submit nothing more; raises what went wrong meanwhile."""
        self._over.set()
        assert self._running is not None
        self._running.result(60)

    def remote_jobs(self) -> int:
        """How many of the accepted jobs go through the remote worker."""
        return sum(job.remote for job in self.accepted.values())

    def _submit_forever(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            with contextlib.suppress(httpx2.TransportError):  # the replica that was drawn is being killed
                self._submit(number)
            self._over.wait(0.2 if self._backlog() < _ENOUGH else 1.5)

    def _submit(self, number: int) -> None:
        items = [
            {"prompt": f"job {number}", "response": f"item {n} of {number}", "id": f"{number}-{n}"}
            for n in range(self._random.choice(_SIZES))
        ]
        adapted, remote = number % 3 == 0, number % 6 == 1
        body = {"items": items, "model": REMOTE if remote else MODEL, **(ADAPTED if adapted else {})}
        answer = http.post(self._replicas.any(self._random) + "/v1/jobs", json=body, timeout=20)
        assert answer.status_code in _EXPECTED, answer.text
        if answer.status_code == 202:
            self.accepted[answer.json()["id"]] = Accepted(items, remote)
            if adapted:
                self._adapters.accepted(answer.json())

    def _backlog(self) -> int:
        store = self._stack.redis
        with contextlib.suppress(redis.RedisError):
            return sum(store.zcard(key) for key in store.scan_iter(match="tr:queued:*")) * SHARD_ITEMS
        return 0

    def check(self) -> Counter[str]:
        """Wait for every accepted job, then look at every item."""
        found = Counter[str](items=0, lost=0, duplicated=0, wrong=0)
        with httpx2.Client(base_url=self._replicas.urls[0], timeout=60) as api:
            for job_id, job in self.accepted.items():
                if wait_for(lambda j=job_id: _end(api, j), 300, f"job {job_id}") == _GONE:
                    found["lost"] += len(job.items)
                    continue
                rows = [json.loads(line) for line in api.get(f"/v1/jobs/{job_id}/results").text.splitlines()][:-1]
                counts = Counter(row["id"] for row in rows)
                by_id = {row["id"]: row for row in rows}
                for item, expected in zip(job.items, self._expected(job_id, job), strict=True):
                    found["items"] += 1
                    if counts[item["id"]] == 0:
                        found["lost"] += 1
                    elif counts[item["id"]] > 1:
                        found["duplicated"] += 1
                    elif by_id[item["id"]].get("rewards") != expected:
                        found["wrong"] += 1
        return found

    def _expected(self, job_id: str, job: Accepted) -> list[list[float]]:
        if version := self._adapters.pinned.get(job_id):
            return rewards(job.items, "opposite", versions={"better": version})
        return rewards(job.items, tokenizer=self._tokenizer if job.remote else None)


def _end(api: httpx2.Client, job_id: str) -> str | None:
    """`succeeded`, or `gone` if nobody knows the job any more; None while it is neither."""
    answer = api.get(f"/v1/jobs/{job_id}")
    if answer.status_code == 404:
        return _GONE
    return "succeeded" if answer.json().get("state") == "succeeded" else None
