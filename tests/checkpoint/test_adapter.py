"""What is said of an adapter's folder before an engine loads it: its version, and why it is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.harness.adapters import TARGETS, save_adapter
from tests.support.tiny_checkpoint import save_checkpoint
from tokenreward.checkpoint.adapter import CONFIG, WEIGHTS, check_fit, read_adapter
from tokenreward.errors import BadInput
from tokenreward_workers.engines.linears import linears_of_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def saved(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(base, tmp_path_factory.mktemp("saved") / "adapter").folder


@pytest.fixture
def adapter(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "adapter")
    return tmp_path / "adapter"


def configure(folder: Path, **changes: Any) -> None:
    file = folder / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def test_an_adapter_says_what_it_changes_and_by_how_much(adapter: Path, base: Path) -> None:
    found = read_adapter(adapter)
    assert {name.rpartition(".")[2] for name in found.layers} == set(TARGETS)
    assert found.rank == 4
    assert {layer.scale for layer in found.layers.values()} == {0.5}
    assert found.base == str(base)
    check_fit(found, linears_of_folder(base), "tiny")
    configure(adapter, use_rslora=True, alpha_pattern={"v_proj": 4})
    scales = {name.rpartition(".")[2]: layer.scale for name, layer in read_adapter(adapter).layers.items()}
    assert scales == {"q_proj": 1.0, "v_proj": 2.0, "down_proj": 1.0}


def test_a_version_is_what_is_computed_and_nothing_else(adapter: Path, tmp_path: Path) -> None:
    version = read_adapter(adapter).version
    shutil.copytree(adapter, tmp_path / "moved")
    configure(tmp_path / "moved", base_model_name_or_path="elsewhere", lora_dropout=0.3)
    assert read_adapter(tmp_path / "moved").version == version
    configure(tmp_path / "moved", lora_alpha=9)
    assert read_adapter(tmp_path / "moved").version != version
    rewrite(adapter, lambda tensors: next(iter(tensors.values())).add_(1e-3))
    assert read_adapter(adapter).version != version


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "kind 'IA3'; only LORA"),
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "a bias"),
        ({"bias": "all"}, "a bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"target_parameters": ["experts.up"]}, "target_parameters"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4, which changed the weights of its base"),
        ({"r": 5}, "says rank 5 of .*, and its matrices have 4"),
        ({"lora_alpha": None}, "does not say r and lora_alpha"),
    ],
)
def test_what_not_every_engine_computes_is_refused_by_its_name(
    adapter: Path, changes: dict[str, Any], said: str
) -> None:
    configure(adapter, **changes)
    with pytest.raises(BadInput, match=said):
        read_adapter(adapter)


def test_a_folder_that_is_not_whole_is_refused(adapter: Path, tmp_path: Path, base: Path) -> None:
    with pytest.raises(BadInput, match=f"{base} holds no adapter"):
        read_adapter(base)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    rewrite(adapter, lambda tensors: tensors.pop(name))
    with pytest.raises(BadInput, match=r"matrices A and B of model\.layers\.0\.self_attn\.q_proj"):
        read_adapter(adapter)
    rewrite(adapter, lambda tensors: tensors.update({"base_model.model.lm_head.weight": torch.zeros(2, 2)}))
    with pytest.raises(BadInput, match=r"lm_head\.weight, which is no part of a plain LoRA"):
        read_adapter(adapter)
    (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:-1])
    with pytest.raises(BadInput, match="is cut off"):
        read_adapter(adapter)
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    with pytest.raises(BadInput, match=f"has no {WEIGHTS}"):
        read_adapter(adapter)


def test_an_adapter_for_another_model_is_refused_with_the_layer_that_shows_it(
    base: Path, saved: Path, tmp_path: Path
) -> None:
    wide = save_checkpoint(tmp_path / "wide", intermediate_size=96)
    with pytest.raises(BadInput, match=r"does not fit wide .*down_proj has 96 inputs and 32 outputs.*64 and 32"):
        check_fit(read_adapter(saved), linears_of_folder(wide), "wide")
    deep = {name.replace("layers.0", "layers.9"): size for name, size in linears_of_folder(base).items()}
    with pytest.raises(BadInput, match=r"down_proj is no layer that can be adapted; those are: down_proj, .*v_proj"):
        check_fit(read_adapter(saved), deep, "deep")
    assert not any("lm_head" in name for name in deep)
    head = base.with_name("head")
    with pytest.raises(BadInput, match=r"lm_head\.base_layer\.weight, which is no part of a plain LoRA"):
        save_adapter(base, head, target_modules=["lm_head"])
