"""Every shape of docs/data.md from a file to labels and to what is shown of them, through the real service."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.stack import Stack
from tests.client.test_data_shapes import SHAPES
from tests.support.rows import read, write
from tokenreward import cli


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_of_this_shape_is_labeled_and_shown(
    synthetic: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    for number, (row, expected) in enumerate(SHAPES[shape]):
        path, out = write(tmp_path / f"in{number}.jsonl", row), tmp_path / f"out{number}.jsonl"
        assert cli.main(["label", str(path), "--out", str(out), "--url", synthetic.url]) == 0
        said = [
            _text(labeled[f"{start}token_ids"])
            for labeled in read(out)
            for start in ("", "chosen_", "rejected_")
            if f"{start}token_rewards" in labeled
        ]
        assert said == [text for _, text in expected]
        capsys.readouterr()
        assert cli.main(["show", str(out), "--url", synthetic.url]) == 0
        shown = capsys.readouterr().out
        assert "no rewards" not in shown
        assert "shown as ids" not in shown
        assert cli.main(["inspect", str(out)]) == 0


def _text(ids: list[int]) -> str:
    """What the synthetic engine's ids spell: bytes, and behind them what ends the turn."""
    return bytes(token for token in ids if token < 256).decode()
