"""A Redis in cluster mode is refused by whatever would use it, before anything else happens."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest
import redis

from benchmarks.harness.processes import COMMAND, Process
from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience, wait_for
from tokenreward.errors import BadInput
from tokenreward_service.embedded.valkey import find_server
from tokenreward_service.store.connection import check_redis
from tokenreward_workers.process.supervisor import HOPELESS


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a valkey-server in cluster mode."""
    folder = tmp_path_factory.mktemp("cluster")
    with socket.socket() as clients, socket.socket() as nodes:
        for free in (clients, nodes):
            free.bind(("127.0.0.1", 0))
        port, bus = clients.getsockname()[1], nodes.getsockname()[1]
    # Without a port of its own, the bus takes one 10,000 above, which a high port does not have.
    options = ["--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(bus), "--bind", "127.0.0.1"]
    server = Process([str(find_server()), *options, "--dir", str(folder), "--save", ""], folder / "valkey.log")
    url = f"redis://127.0.0.1:{port}"
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        wait_for(lambda: server.popen.poll() is None and client.ping(), 20, "valkey-server")
    yield url
    server.stop()


@pytest.mark.parametrize(("command", "status"), [("serve", 1), ("worker --engine synthetic", HOPELESS)])
def test_a_redis_in_cluster_mode_is_refused_at_the_start(cluster: str, command: str, status: int) -> None:
    ended = subprocess.run(
        [*COMMAND, *command.split(), "--redis-url", cluster],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert ended.returncode == status
    (line,) = [line for line in ended.stderr.splitlines() if "cluster mode" in line]
    assert line.endswith("use a Redis without cluster mode")
    assert "Traceback" not in ended.stderr


def test_a_redis_without_it_is_taken(server: Stack, cluster: str) -> None:
    check_redis(server.redis_url)
    with pytest.raises(BadInput, match="in cluster mode"):
        check_redis(cluster)
