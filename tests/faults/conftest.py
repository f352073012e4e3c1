"""One API for the tests of this folder; each starts the workers that it wants, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.harness.stack import Stack
from tests.support.jobs import SLOW


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("faults"), SLOW) as stack:
        stack.start_api()
        yield stack


@pytest.fixture
def stack(service: Stack) -> Iterator[Stack]:
    """An API and an empty store. A test starts its own workers, which end with it."""
    yield service
    while service.workers:
        service.workers.pop().kill()
    service.redis.flushall()
