"""What `tokenreward serve` runs: the API, and, where no Redis is named, a job store and a worker beside it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import redis
import uvicorn

from tokenreward.errors import BadInput
from tokenreward.protocol import arrow_blobs, keys
from tokenreward.protocol.connections import connect
from tokenreward.protocol.records import parse_record
from tokenreward.protocol.spill import Spill
from tokenreward.protocol.worker_records import WorkerRecord
from tokenreward_service.api_keys.store import KeyFile
from tokenreward_service.app import create_app
from tokenreward_service.embedded import processes
from tokenreward_service.embedded.valkey import valkey
from tokenreward_service.monitoring import logs
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.connection import check_redis

#: Longer than clients keep an idle connection (ours: 30 s), so that none is closed under a request that was just sent.
_KEEP_ALIVE_SECONDS = 75
#: The exit status of a worker that no restart can mend, which it has explained in one line; ours is the same then.
_HOPELESS = 78


def run(settings: ServiceSettings, for_worker: Sequence[str]) -> int:
    """Serve until stopped.

    Args:
        settings: The settings. Without a Redis, a private valkey-server and one worker run beside the API.
        for_worker: The options of that worker.

    Returns:
        The exit status.

    Raises:
        BadInput: The settings cannot work on this machine.
    """
    logs.configure(settings.log_format)
    Spill(settings.blob_url, settings.spill_bytes)  # refuses a place that cannot be used
    if settings.needs_keys and settings.redis_url is None and settings.data_dir is None:
        raise _exposed(settings, "a job store of its own that is thrown away holds no keys")
    signal.signal(signal.SIGTERM, _exit)
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
        check_redis(url)
        _check_keys(settings, url)
        return _run(settings, _bind(settings), url, None)
    status = processes.check_worker(for_worker)
    if status:
        return status
    listening = _bind(settings)
    with valkey(settings.data_dir) as url:
        _check_keys(settings, url)
        former = _workers(url)
        with processes.worker(url, for_worker) as worker:
            return _run(settings, listening, url, worker, former)


def _run(
    settings: ServiceSettings,
    listening: socket.socket,
    redis_url: str,
    worker: subprocess.Popen[bytes] | None,
    former: frozenset[bytes] = frozenset(),
) -> int:
    host, port = listening.getsockname()[:2]
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}{settings.root_path}"
    arrow_blobs.warm_up()
    config = uvicorn.Config(
        create_app(settings, redis_url),
        log_level="warning",
        access_log=False,  # it has whole addresses, and somebody may have put a key into one; ours has routes
        timeout_graceful_shutdown=10,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    server = uvicorn.Server(config)
    print(f"tokenreward listens on {where}", flush=True)
    if worker is not None:
        threading.Thread(target=_watch, args=(server, redis_url, worker, where, former), daemon=True).start()
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        print("stopping", flush=True)
    ended = worker.poll() if worker is not None else None
    return max(ended, 1) if ended else 0  # a worker that was killed has a negative one


def _check_keys(settings: ServiceSettings, redis_url: str) -> None:
    """Refuse to be reachable by strangers without a key to keep them out. Raises BadInput."""
    if not settings.needs_keys:
        return
    client: Any = connect(redis_url, socket_timeout=10, socket_connect_timeout=3)
    with contextlib.closing(client):
        if all(key.revoked is not None for key in KeyFile(client).all()):
            raise _exposed(settings, "no API key exists")


def _exposed(settings: ServiceSettings, why: str) -> BadInput:
    return BadInput(
        f"refusing to bind {settings.host}: {why}, so anybody who reaches it could read and queue jobs. Make a key "
        "(`tokenreward keys create NAME` with the same --redis-url or --data-dir), bind 127.0.0.1, or say --insecure "
        "if something else keeps strangers away"
    )


def _bind(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        raise BadInput(f"cannot bind {settings.host} port {settings.port}: {error.strerror}") from error
    return listening


def _workers(redis_url: str) -> frozenset[bytes]:
    """The workers that the job store knows. After a crash, dead ones are among them for a while."""
    client: Any = connect(redis_url, socket_timeout=10, socket_connect_timeout=3)
    with contextlib.closing(client):
        return frozenset(client.zrange(keys.WORKERS, 0, -1))


def _watch(server: Any, redis_url: str, worker: subprocess.Popen[bytes], where: str, former: frozenset[bytes]) -> None:
    """Say when a worker is ready that is none of the former ones; end the service if the worker can never be."""
    ready = False
    client: Any = connect(redis_url, socket_timeout=5)
    with contextlib.closing(client):
        while worker.poll() is None:
            with contextlib.suppress(redis.RedisError):
                if not ready and (record := _newcomer(client, former)):
                    print(f"ready: {record.model} on {record.engine}, {where}", flush=True)
                    ready = True
            time.sleep(0.2)
    if not server.should_exit:
        if worker.poll() != _HOPELESS:
            print("the embedded worker cannot run; its last words are above", file=sys.stderr, flush=True)
        server.should_exit = True


def _newcomer(client: Any, former: frozenset[bytes]) -> WorkerRecord | None:
    """A live worker that is none of the former ones."""
    names = [keys.worker(name.decode()) for name in client.zrange(keys.WORKERS, 0, -1) if name not in former]
    texts = client.mget(names) if names else []
    return next((parse_record(WorkerRecord, text) for text in texts if text), None)


def _exit(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
