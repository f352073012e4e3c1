"""Makes `tests/stack.py` importable, and the two stacks that most end-to-end tests share."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

from stack import Stack, running

# The same examples in every run: a change is to blame for a failure, not chance. `make fuzz` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


# A shell that runs this in the background has SIGINT ignored, and what a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One API and one worker with the synthetic engine, as fast as it goes. Tests must leave it as they found it."""
    with running(tmp_path_factory.mktemp("synthetic")) as stack:
        yield stack


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One API and one worker with the real demo model on the transformers engine. Leave it as you found it."""
    with running(tmp_path_factory.mktemp("demo-model"), engine="transformers") as stack:
        yield stack
