"""Workers and the API are restarted one after another under load, and no call of a client fails."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness.stack import Stack
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import wait_for
from tests.support.repeating import Repeating
from tokenreward import Client

SETTINGS = {
    "TOKENREWARD_SYNTHETIC_RATE": "60",
    "TOKENREWARD_SHARD_ITEMS": "10",
    "TOKENREWARD_CACHE_TTL_SECONDS": "0",
}


class Callers(Repeating):
    """Threads that call and check what comes back, until told to stop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls = 0
        self.failures: list[str] = []
        bodies = [self._small, self._small, self._jobs]
        super().__init__([functools.partial(self._run, n, body) for n, body in enumerate(bodies)])

    def _run(self, number: int, body: Callable[[Client, str], None]) -> None:
        with Client(self.url) as client:
            round_ = 0
            while not self.over.is_set():
                round_ += 1
                try:
                    body(client, f"{number}-{round_}")
                    self.calls += 1
                except Exception as error:  # whatever it is, a caller would have seen it
                    self.failures.append(repr(error))

    def _small(self, client: Client, name: str) -> None:
        items = [{"prompt": f"small {name}", "response": f"response {name}"}]
        assert [result.rewards for result in client.label(items).results] == rewards(items)

    def _jobs(self, client: Client, name: str) -> None:
        items = [{"prompt": f"bulk {name}", "response": f"response {n} of {name}"} for n in range(30)]
        job = client.jobs.create(items)
        assert [result.rewards for result in client.jobs.results(job.id)] == rewards(items)


def test_a_rolling_restart_fails_no_call(tmp_path: Path) -> None:
    with Stack(tmp_path, SETTINGS) as stack:
        stack.start_api()
        for _ in range(2):
            stack.start_worker(supervised=True)
        stack.wait_ready(2)
        port = int(stack.url.rsplit(":", 1)[1])
        with Callers(stack.url) as callers:
            wait_for(lambda: callers.calls > 5, 30, "load")
            for _ in range(2):
                old = stack.workers.pop(0)
                assert old.stop() == 0, old.output()
                stack.start_worker(supervised=True)
                stack.wait_ready(2)
            assert stack.api is not None
            assert stack.api.stop() == 0, stack.api.output()
            stack.start_api(port)
            served = callers.calls
            wait_for(lambda: callers.calls > served + 5, 30, "calls after the restart")
        assert callers.failures == []
        assert callers.calls > 10
