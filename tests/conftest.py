"""Repeatable examples and limits that follow the machine, for every test, and the two stacks that most tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from benchmarks.harness.stack import Stack, running
from benchmarks.harness.waiting import patience
from tests.support.schedule import by_group, longest_first

# The same examples in every run: a change is to blame for a failure, not chance. `make fuzz` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("repeatable")

# Tests start many processes; one that may not keep what it compiles compiles torch anew, which takes it seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that runs this in the background has SIGINT ignored, and what a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: A fixture, and the marks of each test that uses it, directly or through another fixture.
_MARKS_OF_FIXTURES = {
    "demo": [pytest.mark.demo_model],
    "demo_model": [pytest.mark.demo_model],
    "browser": [pytest.mark.browser],
}
#: What a file of tests imports to start processes of its own. All its tests are marked, as they share what it starts.
_STARTERS = ("running", "Served", "Process", "embedded_service")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks tests by what they use, and puts them in the order in which several processes should take them."""
    for item in items:
        for fixture, marks in _MARKS_OF_FIXTURES.items():
            if fixture in getattr(item, "fixturenames", ()):
                for mark in marks:
                    item.add_marker(mark)
        if any(hasattr(getattr(item, "module", None), name) for name in _STARTERS):
            item.add_marker(pytest.mark.processes)
    if hasattr(config, "workerinput"):  # this is one of several processes
        longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out whole files, and files that share what takes long to start, to the processes of pytest-xdist."""
    return by_group(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Stretches the test's time limit, its marker's or the configuration's, before pytest-timeout reads it."""
    if item.config.getoption("timeout") is None:
        marker = item.get_closest_marker("timeout")
        seconds = marker.args[0] if marker else float(item.config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(patience(seconds)), append=False)
    return (yield)


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
