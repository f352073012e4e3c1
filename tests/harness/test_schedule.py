"""Several processes share the suite by whole files: what a file's tests share is set up once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.waiting import patience
from tests.support import schedule

ROOT = Path(__file__).parents[2]
_CONFTEST = """
import pytest
from tests.support.schedule import by_group

@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return by_group(config, log)
"""


def test_the_tests_of_a_file_run_in_one_process(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    for name in ("one", "other"):
        tests = [f"def test_{n}():\n    import time; time.sleep(0.05)\n" for n in range(6)]
        (tmp_path / f"test_{name}.py").write_text("\n".join(tests))
    options = ["-p", "xdist", "-n", "2", "-v", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the other plugins take longer than the tests
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=patience(60)
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = set(re.findall(r"\[(gw\d)\] \[.*PASSED (\S+\.py)", ran.stdout))
    assert len(found) == 2, ran.stdout
    assert {process for process, _ in found} == {"gw0", "gw1"}


def test_files_that_share_what_takes_long_to_start_are_one_unit() -> None:
    together = schedule.TOGETHER["the demo model, served"]
    assert {schedule.group_of(f"tests/{file}::test_it[a]") for file in together} == {"the demo model, served"}
    assert schedule.group_of("tests/client/test_client.py::test_it") == "tests/client/test_client.py"


def test_the_files_that_it_names_exist() -> None:
    named = [*schedule.FIRST, *(file for files in schedule.TOGETHER.values() for file in files)]
    assert [file for file in named if not (ROOT / "tests" / file).is_file()] == []
