from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests

from fake_service import FakeService, fake_service
from staged import Staged, staged_server


@pytest.fixture
def server() -> Iterator[Staged]:
    with staged_server() as staged:
        yield staged


@pytest.fixture
def service() -> Iterator[FakeService]:
    with fake_service() as fake:
        yield fake
