"""What an address says of its connections goes before what its caller says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tokenreward.protocol.connections import connect, connect_async


@pytest.mark.parametrize("made", [connect, connect_async])
@pytest.mark.parametrize("server", ["redis://127.0.0.1:1/0", "redis+sentinel://127.0.0.1:1/rewards"])
def test_an_address_may_say_how_many_connections_there_are(made: Callable[..., Any], server: str) -> None:
    pool = made(f"{server}?max_connections=50&timeout=3&socket_timeout=7", socket_timeout=9).connection_pool
    assert (pool.max_connections, pool.timeout, pool.connection_kwargs["socket_timeout"]) == (50, 3, 7)
    pool = made(server, max_connections=4, wait_seconds=5).connection_pool
    assert (pool.max_connections, pool.timeout) == (4, 5)
