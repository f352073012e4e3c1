"""The LM head of the packed engine: types, chunks, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tokenreward.errors import BadInput
from tokenreward_workers.engines import EngineSettings
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.engines.packed.head import LmHead


def model_of(head: torch.nn.Module, **config: Any) -> Any:
    text = SimpleNamespace(**config)
    return SimpleNamespace(get_output_embeddings=lambda: head, config=SimpleNamespace(get_text_config=lambda: text))


def states(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(1)
    return torch.randn(rows, 64, generator=dice).bfloat16(), torch.randint(0, 500, (rows,), generator=dice)


@pytest.mark.parametrize("bias", [False, True])
def test_a_float32_head_rounds_no_logits_and_the_bodys_own_does(bias: bool) -> None:
    torch.manual_seed(2)
    linear = torch.nn.Linear(64, 500, bias=bias)
    torch.nn.init.normal_(linear.weight)
    linear = linear.bfloat16().requires_grad_(False)
    hidden, targets = states(40)
    own = None if linear.bias is None else linear.bias.double()
    exact = torch.nn.functional.linear(hidden.double(), linear.weight.double(), own).log_softmax(-1)
    expected = exact.gather(-1, targets[:, None])[:, 0]
    off = {
        dtype: float((LmHead(model_of(linear), dtype).log_probs(hidden, targets, int) - expected).abs().max())
        for dtype in ("float32", "bfloat16")
    }
    assert off["float32"] < 1e-4
    assert off["bfloat16"] > 1e-2


def test_chunks_and_factors_and_caps_of_logits_do_what_the_model_does() -> None:
    linear = torch.nn.Linear(64, 500).requires_grad_(False)
    hidden, targets = states(40)
    head = LmHead(model_of(linear, logits_scaling=2.0, final_logit_softcapping=0.5), "float32")
    logits = torch.tanh(linear(hidden.float()) / 2.0 / 0.5) * 0.5
    expected = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    for rows, calls in ((7, 6), (1000, 1)):
        head.rows = rows
        told: list[None] = []
        found = head.log_probs(hidden.float(), targets, lambda told=told: told.append(None))
        torch.testing.assert_close(found, expected)
        assert len(told) == calls


def test_a_type_that_the_head_cannot_have_is_refused() -> None:
    linear = torch.nn.Linear(64, 500).bfloat16()
    with pytest.raises(BadInput, match="neither float32 nor the model's own bfloat16"):
        LmHead(model_of(linear), "float16")

    class Quantised(torch.nn.Linear):
        pass

    other = Quantised(64, 500).bfloat16()
    with pytest.raises(BadInput, match="no plain linear layer"):
        LmHead(model_of(other), "float32")
    assert LmHead(model_of(other), None).dtype == "bfloat16"
    with pytest.raises(BadInput, match="head_dtype"):
        EngineSettings(dtype="bfloat16", head_dtype="float16")
    assert EngineSettings(dtype="float16", head_dtype="float16").head_dtype == "float16"


def test_a_gpu_gets_at_least_a_thousand_rows_unless_its_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = torch.nn.Linear(8, 128_256).bfloat16()
    head = LmHead(model_of(linear), "bfloat16")
    assert head.rows == 64 * 2**20 // (4 * 128_256)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2**30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2**30)
    for free, least, most in ((60 * 2**30, 4096, 4096), (4 * 2**30, 1024, 1024), (2**30, 1, 200)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 80 * 2**30))
        head.bound()
        assert least <= head.rows <= most


def test_the_type_of_the_head_stands_beside_the_bodys(tiny: Callable[[str], Path]) -> None:
    narrow = TransformersEngine(tiny("llama"), "bfloat16")
    wide = TransformersEngine(tiny("llama"), "bfloat16", head_dtype="float32")
    assert (narrow.info.dtype, narrow.info.head_dtype) == ("bfloat16", "bfloat16")
    assert (wide.info.dtype, wide.info.head_dtype) == ("bfloat16", "float32")
