"""Adapters that are replaced and deleted under load, and the version that each accepted job is pinned to."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.harness.adapters import write_adapter
from benchmarks.harness.stack import Stack, http

MODEL, NAME = "synthetic", "dpo"
#: The options of a job that an adapter scores one branch of.
ADAPTED: dict[str, Any] = {"template": "opposite", "models": {"better": NAME}}


class AdapterFaults:
    """Replaces and deletes one adapter, always in the same folder, as a training run does.

    Attributes:
        pinned: The version that each accepted job is pinned to.
        faults: How often the adapter was replaced or deleted.
        wrong_versions: Jobs that were pinned to a version that nobody has ever put.
    """

    def __init__(self, stack: Stack, folder: Path, dice: random.Random) -> None:
        self.pinned: dict[str, str] = {}
        self.faults = self.wrong_versions = 0
        self._stack = stack
        self._folder = folder
        self._random = dice
        self._lock = threading.Lock()
        self._written: set[str] = set()
        self._url = f"{stack.url}/v1/models/{MODEL}/adapters"

    def replace_adapter(self) -> None:
        with self._lock:  # one training run saves one step after the other
            self._written.add(write_adapter(self._folder, self._random.getrandbits(32)))
            try:
                http.put(f"{self._url}/{NAME}", json={"source": str(self._folder)}, timeout=60)
                self.faults += 1
            except httpx2.TransportError:  # the API is being killed, too
                pass

    def delete_adapter(self) -> None:
        with self._lock:
            try:
                http.delete(f"{self._url}/{NAME}", timeout=20)
                self.faults += 1
            except httpx2.TransportError:
                return
        self.replace_adapter()

    def accepted(self, job: dict[str, Any]) -> None:
        """Note what a job is pinned to."""
        uses = job["provenance"]["models"]
        (version,) = {use["fingerprint"]["adapter_version"] for use in uses if "better" in use["branches"]}
        self.pinned[job["id"]] = version
        self.wrong_versions += version not in self._written
