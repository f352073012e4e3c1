"""Several API processes on one store, each of which may be killed and comes back at its old address."""

from __future__ import annotations

import random

from benchmarks.harness.processes import Process
from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import wait_for


class Replicas:
    """The API processes of a stack. They are to be stopped before the stack, which knows only the last one.

    Attributes:
        stack: The store and the workers.
    """

    def __init__(self, stack: Stack, count: int) -> None:
        self.stack = stack
        self._processes: dict[str, Process] = {}
        for _ in range(count):
            self._start(0)

    @property
    def urls(self) -> list[str]:
        """The address of each."""
        return list(self._processes)

    def any(self, dice: random.Random) -> str:
        """One of the addresses, as a balancer that does not look whether anybody listens there."""
        return dice.choice(self.urls)

    def kill(self, url: str) -> None:
        """Kill the replica at an address, which must be alive."""
        self._check(url)
        self._processes[url].kill()

    def check(self) -> None:
        """Raise AssertionError unless all of them are alive."""
        for url in self.urls:
            self._check(url)

    def start_again(self, url: str) -> None:
        """Start one at the address of a dead one; again, as its supervisor would, as long as it finds no store."""
        wait_for(lambda: self._stays(int(url.rsplit(":", 1)[1])), 90, "the API")

    def stop(self) -> None:
        """End all of them."""
        for process in self._processes.values():
            process.stop()

    def _stays(self, port: int) -> bool:
        try:
            self._start(port)
        except AssertionError as error:
            if "cannot reach Redis" not in str(error):
                raise
            return False
        return True

    def _check(self, url: str) -> None:
        process = self._processes[url]
        assert process.popen.poll() is None, process.output()[-3000:]

    def _start(self, port: int) -> None:
        self.stack.start_api(port)
        assert self.stack.api is not None
        self._processes[self.stack.url] = self.stack.api
