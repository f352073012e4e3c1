"""Copies the job store's append-only files while it runs, so that they can be started from.

    python -m tokenreward_service.tools.backup /var/lib/valkey /backups/2026-11-28 --redis-url redis://admin:...@store:6379

It has to run where the server's files are. A rewrite of the files in the middle of a copy would leave a set that does
not fit together, so rewrites are held off until the copy is done. A copy taken while work goes on holds every job that
was accepted before it began; the end of the last file may be cut off, which a server that starts from it repairs
(`aof-load-truncated yes`, its default).
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from tokenreward.errors import BadInput
from tokenreward.protocol.connections import connect
from tokenreward.protocol.redis_url import uses_sentinel

_REWRITE = "auto-aof-rewrite-percentage"


def backup(client: Any, data: Path, target: Path) -> Path:
    """Copy the append-only files.

    Args:
        client: Sync client of a user who may change the server's configuration.
        data: The server's `dir`.
        target: A folder that is not there yet.

    Returns:
        The folder with the copy; a server whose `dir` is `target` starts from it.

    Raises:
        BadInput: The server keeps no append-only files, they are not in `data`, or `target` is there.
    """
    settings = client.config_get("append*")
    if settings.get("appendonly") != "yes":
        raise BadInput("the server keeps no append-only files (appendonly no)")
    source = data / settings["appenddirname"]
    if not source.is_dir():
        raise BadInput(f"{source} is not there: name the server's own `dir`")
    if target.exists():
        raise BadInput(f"{target} is there already")
    with _no_rewrites(client):
        copy: Path = target / source.name
        shutil.copytree(source, copy)
    return copy


@contextlib.contextmanager
def _no_rewrites(client: Any) -> Iterator[None]:
    before = client.config_get(_REWRITE)[_REWRITE]
    client.config_set(_REWRITE, 0)
    try:
        while client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.1)
        yield
    finally:
        client.config_set(_REWRITE, before)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="backup", description="Copy the job store's append-only files.")
    parser.add_argument("data", type=Path, help="the server's `dir`")
    parser.add_argument("target", type=Path, help="a folder that is not there yet")
    parser.add_argument("--redis-url", required=True, help="the server, as its user `admin`")
    arguments = parser.parse_args(argv)
    try:
        if uses_sentinel(arguments.redis_url):  # the primary may be another server than the one whose files are here
            raise BadInput("name the server itself, whose files these are, and not its Sentinels")
        with connect(arguments.redis_url, decode_responses=True, socket_timeout=30) as client:
            print(backup(client, arguments.data, arguments.target))
    except (BadInput, redis.RedisError, OSError) as error:
        print(f"backup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
