"""A short run of benchmarks/fuzz.py: no server error, no hang, and every documented answer is seen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from fuzz import fuzz


@pytest.mark.timeout(600)
def test_made_up_requests_get_documented_answers(tmp_path: Path) -> None:
    tally = fuzz(tmp_path, 900, salt=1)
    assert tally.bad == []
    assert tally.hangs == 0
    assert tally.missing == []
