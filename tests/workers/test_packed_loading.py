"""Models that the packed engine cannot load: one line that says why, and no other exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file

from tokenreward.errors import BadInput
from tokenreward_workers.engines.packed import loading
from tokenreward_workers.engines.packed.engine import TransformersEngine


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        TransformersEngine(path, "float32")
    told = str(caught.value)
    assert "\n" not in told
    assert str(path) in told
    return told


def test_a_model_type_that_transformers_does_not_know_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "tomorrow", "architectures": ["Tomorrow"]}))
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    assert "tomorrow" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ImportError("needs a package that is missing\n\nlong advice"), "needs a package that is missing"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "does not fit this machine's memory"),
        (RuntimeError("a size mismatch\nfor layer 1"), "a size mismatch"),
    ],
)
def test_what_fails_while_a_model_is_loaded_is_one_line(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def failing(*given: Any, **named: Any) -> None:
        raise error

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", failing)
    assert told in refusal(tiny("llama"))


def test_a_card_that_is_too_small_is_named_and_other_ways_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class TooLarge:
        def eval(self) -> TooLarge:
            return self

        def to(self, device: torch.device) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the documentation")

    monkeypatch.setattr(loading, "load_whole", lambda *given, **named: TooLarge())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA L4")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 24 * 2**30))
    with pytest.raises(BadInput, match=r"NVIDIA L4 \(24 GiB\) in bfloat16.*one GPU.*tensor_parallel"):
        loading.load_model(Path("model"), "bfloat16", torch.device("cuda", 0))


def test_a_gpu_that_torch_cannot_use_is_no_reason_to_score_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12040).\nPlease update it")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", too_old)
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(BadInput, match=r"driver on your system is too old \(found version 12040\)\.$"):
        loading.pick_device()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert loading.pick_device().type == "cpu"
