"""Somebody else's server that a remote worker scores through, and that is killed now and then."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from benchmarks.harness.stack import Served


class Endpoint:
    """`tokenreward serve` with a synthetic model of a given tokenizer, and a job store of its own."""

    def __init__(self, folder: Path, tokenizer: Path) -> None:
        self._folder = folder
        self._settings = {
            "TOKENREWARD_SYNTHETIC_TOKENIZER": str(tokenizer),
            "TOKENREWARD_SYNTHETIC_RATE": "120",
            "TOKENREWARD_CACHE_TTL_SECONDS": "0",
        }
        self._starts = 0
        self._served = self._start(0)
        self.url = self._served.url

    def kill(self) -> None:
        """Kill all of its processes."""
        for process in self._served.family():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended with the one that started it
                process.kill()
        self._served.process.kill()

    def start_again(self) -> None:
        """Start it at its old address, without what it knew, and wait until it can score."""
        self._served = self._start(int(self.url.rsplit(":", 1)[1]))
        self._served.ready()

    def stop(self) -> None:
        """End it."""
        self._served.process.stop()

    def _start(self, port: int) -> Served:
        self._starts += 1
        folder = self._folder / str(self._starts)
        folder.mkdir(parents=True)
        data = {"TOKENREWARD_DATA_DIR": str(folder / "data")}
        return Served(folder, "--engine", "synthetic", port=port, **self._settings, **data)
