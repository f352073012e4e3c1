"""What commands do with a model that is not whole: one line, and a status that says whether a restart helps."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from benchmarks.harness.processes import COMMAND
from benchmarks.harness.waiting import patience
from tests.support.tiny_checkpoint import save_checkpoint
from tokenreward_workers.process.supervisor import HOPELESS

PAIR = {"prompt": "Say hi", "chosen": "hi", "rejected": "no"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def broken(whole: Path, tmp_path: Path) -> Path:
    """A folder that looks whole from outside, and lacks a key."""
    folder = Path(shutil.copytree(whole, tmp_path / "broken"))
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def run(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    given = [*COMMAND, *arguments]
    return subprocess.run(given, capture_output=True, text=True, timeout=patience(seconds), check=False)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The last line, after what a command logs as it starts."""
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("command", [["worker", "--check"], ["worker", "--redis-url", "redis://x"], ["serve"]])
def test_what_is_seen_from_outside_ends_worker_and_serve_with_78_at_once(
    whole: Path, tmp_path: Path, command: list[str]
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "cut"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    done = run(*command, "--model", str(folder))
    assert done.returncode == HOPELESS
    assert done.stderr.splitlines() == [said(done)]
    assert "is cut off" in said(done)
    assert "listens" not in done.stdout


@pytest.mark.slow
def test_a_key_that_is_missing_ends_worker_and_serve_with_78_and_nothing_is_started_again(broken: Path) -> None:
    for command in (["worker", "--redis-url", "redis://x"], ["serve", "--port", "0"]):
        done = run(*command, "--model", str(broken))
        assert done.returncode == HOPELESS
        assert "lack model.norm.weight" in said(done)
        assert "starting it again" not in done.stderr


@pytest.mark.slow
def test_every_other_command_ends_with_1_before_anything_is_computed(broken: Path, tmp_path: Path) -> None:
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "out.jsonl"
    pairs.write_text(json.dumps(PAIR) + "\n")
    report = ["--report.baseline", "false", "--train.use_cpu", "true", "--train.output_dir", str(tmp_path / "run")]
    for command in (
        ["sample", str(pairs), "--out", str(out), "--model", str(broken)],
        ["train", "demo", "--model.name", str(broken), "--data.train", str(pairs), "--train.reg_alpha", "0", *report],
    ):
        done = run(*command)
        assert done.returncode == 1
        assert "lack model.norm.weight" in said(done)
        assert not out.exists()
