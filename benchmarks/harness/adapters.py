"""Adapters for tests and benchmarks: of a real model as PEFT saves them, and of none, made without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tokenreward.checkpoint.adapter import CONFIG, WEIGHTS, read_adapter
from tokenreward_workers.scoring import Adapter

#: Layers of attention and of the MLP: what people adapt.
TARGETS = ("q_proj", "v_proj", "down_proj")


def write_adapter(folder: Path, seed: int) -> str:
    """Write an adapter for the synthetic engine, in place of the one that is there. Returns its version."""
    folder.mkdir(parents=True, exist_ok=True)
    matrices = np.random.default_rng(seed).random((2, 2, 8), dtype=np.float32).tobytes()
    name, half = "base_model.model.model.layers.0.self_attn.q_proj", len(matrices) // 2
    header = {
        f"{name}.{part}.weight": {"dtype": "F32", "shape": shape, "data_offsets": [n * half, (n + 1) * half]}
        for n, (part, shape) in enumerate({"lora_A": [2, 8], "lora_B": [8, 2]}.items())
    }
    begin = json.dumps(header).encode()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "base_model_name_or_path": ""}
    # Each file whole or not at all, as a training run should save it: a worker may read at any moment.
    for file, content in (
        (WEIGHTS, len(begin).to_bytes(8, "little") + begin + matrices),
        (CONFIG, json.dumps(config).encode()),
    ):
        (folder / "writing").write_bytes(content)
        (folder / "writing").replace(folder / file)
    return read_adapter(folder).version


def save_adapter(base: Path, folder: Path, *, seed: int = 0, **options: Any) -> Adapter:
    """Save an adapter of random weights, which changes what its base says.

    Args:
        base: A model directory.
        folder: Where it goes.
        seed: Of the weights.
        **options: Of `peft.LoraConfig`.
    """
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    given = {"r": 4, "lora_alpha": 2, "target_modules": list(TARGETS), "init_lora_weights": False} | options
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    peft.get_peft_model(model, peft.LoraConfig(**given)).save_pretrained(folder)
    return Adapter(read_adapter(folder).version, folder)


def save_merged(base: Path, adapter: Adapter, folder: Path) -> Path:
    """Save the base with the adapter merged into its weights, a model of its own."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = peft.PeftModel.from_pretrained(model, adapter.folder).merge_and_unload()
    merged.save_pretrained(folder)
    return folder
