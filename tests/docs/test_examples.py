"""Every script and notebook of `examples/` runs as it stands, against a real service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples"
#: What each script prints. An integration that needs more than a service has a test of its own, which names its file.
PRINTS = {
    "label_a_file.py": "2 rows, ",
    "compare_two_responses.py": "right: mean ",
    "find_the_wrong_step.py": "least trusted: step ",
    "your_own_template.py": "Rewrite the answer to make it more polite.",
    "label_while_training.py": "batch 2: 4 labeled",
}
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("name", PRINTS)
def test_a_script_runs(name: str, synthetic: Stack, tmp_path: Path) -> None:
    environment = os.environ | {"TOKENREWARD_URL": synthetic.url}
    run = subprocess.run(
        [sys.executable, str(FOLDER / name)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience(60),
    )
    assert run.returncode == 0, run.stderr
    assert PRINTS[name] in run.stdout


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_the_first_cell_to_the_last(
    name: str, synthetic: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("TOKENREWARD_URL", synthetic.url)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    notebook = nbformat.read(FOLDER / name, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=int(patience(60)), resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_outputs(name: str) -> None:
    cells = json.loads((FOLDER / name).read_text("utf-8"))["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code" and cell["outputs"]] == []


def test_every_example_is_named_in_the_list_and_run_by_a_test() -> None:
    listed = (FOLDER / "README.md").read_text("utf-8")
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for path in (*FOLDER.glob("*.py"), *FOLDER.glob("*.ipynb")):
        assert f"]({path.name})" in listed, path.name
        named = path.name in tests or re.search(rf"from examples import .*\b{path.stem}\b", tests)
        assert named or path.suffix == ".ipynb", path.name
