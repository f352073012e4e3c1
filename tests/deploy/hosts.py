"""Hosts of our own: Linux network namespaces, each with a link to the first, which can be cut."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


def why_not() -> str | None:
    """Why there can be no namespaces here; None if there can."""
    if shutil.which("ip") is None:
        return "no `ip` (iproute2)"
    if os.geteuid() != 0:
        return "not root"
    name = f"tr-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return made.stderr.strip()
    link = ["ip", "-n", name, "link", "add", "name", "one", "type", "veth", "peer", "name", "other"]
    linked = subprocess.run(link, capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "delete", name], check=False)
    return linked.stderr.strip() or None


class Hosts:
    """A store and its neighbours, in a star. Use as a context manager."""

    def __init__(self, neighbours: list[str]) -> None:
        self._prefix = f"tr{os.getpid()}-"
        self._neighbours = neighbours

    def __enter__(self) -> Hosts:
        for name in ["store", *self._neighbours]:
            _ip("netns", "add", self._prefix + name)
            _ip("-n", self._prefix + name, "link", "set", "lo", "up")
        for n, name in enumerate(self._neighbours, 1):
            here, there = self._prefix + "store", self._prefix + name
            _ip(
                "-n",
                here,
                "link",
                "add",
                "name",
                f"to-{name}",
                "type",
                "veth",
                "peer",
                "name",
                "uplink",
                "netns",
                there,
            )
            _ip("-n", here, "address", "add", f"10.77.{n}.1/24", "dev", f"to-{name}")
            _ip("-n", there, "address", "add", f"10.77.{n}.2/24", "dev", "uplink")
            _ip("-n", here, "link", "set", f"to-{name}", "up")
            _ip("-n", there, "link", "set", "uplink", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in ["store", *self._neighbours]:
            _ip("netns", "delete", self._prefix + name)

    def store_address(self, neighbour: str) -> str:
        """Where the store is, as that neighbour sees it."""
        return f"10.77.{self._neighbours.index(neighbour) + 1}.1"

    def on(self, name: str) -> list[str]:
        """What to put before a command so that it runs on that host."""
        return ["ip", "netns", "exec", self._prefix + name]

    def cut(self, neighbour: str) -> None:
        """Nothing gets through any more, and nobody is told: as if a cable were pulled."""
        _ip("-n", self._prefix + "store", "link", "set", f"to-{neighbour}", "down")

    def mend(self, neighbour: str) -> None:
        _ip("-n", self._prefix + "store", "link", "set", f"to-{neighbour}", "up")

    def call(self, name: str, function: Callable[[], T]) -> T:
        """`function` in a thread on that host: connections that it makes are made there."""
        found: dict[str, Any] = {}

        def body() -> None:
            try:
                with Path(f"/run/netns/{self._prefix}{name}").open("rb") as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                found["result"] = function()
            except BaseException as error:  # for the caller's thread
                found["error"] = error

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if "error" in found:
            raise found["error"]
        return found["result"]  # type: ignore[no-any-return]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
