from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fake_service import FakeService, fake_service
from tests.support.staged_server import Staged, staged_server


@pytest.fixture
def server() -> Iterator[Staged]:
    with staged_server() as staged:
        yield staged


@pytest.fixture
def service() -> Iterator[FakeService]:
    with fake_service() as fake:
        yield fake
