"""A short run of benchmarks/fuzz.py: no server error, no hang, and every documented answer is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz import fuzz


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_made_up_requests_get_documented_answers(tmp_path: Path) -> None:
    tally = fuzz(tmp_path, 300, salt=1)
    assert tally.bad == []
    assert tally.hangs == 0
    assert tally.missing == []
