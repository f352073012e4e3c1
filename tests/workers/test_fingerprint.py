"""Fingerprints: equal for what computes the same, different for what may not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.support.tiny_models import CHAT
from tokenreward.chat_format import ChatFormat
from tokenreward.chat_format.tokenizer_hash import tokenizer_hash
from tokenreward.schema import Fingerprint, digest
from tokenreward_workers.engines import synthetic
from tokenreward_workers.engines.base import EngineInfo
from tokenreward_workers.model_files import fingerprint
from tokenreward_workers.model_files.resolve import ModelFiles


@pytest.fixture
def model(tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKENREWARD_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(tiny("llama"), tmp_path / "model"))


def configure(model: Path, **changes: object) -> None:
    file = model / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes, indent=4))


def test_the_model_hash_is_of_content_not_of_where_it_lies_or_of_how_it_is_cut(model: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(model, tmp_path / "elsewhere"))
    assert fingerprint.model_hash(model) == fingerprint.model_hash(moved)
    weights = load_file(moved / "model.safetensors")
    (moved / "model.safetensors").unlink()
    places = {name: f"model-{n % 2}.safetensors" for n, name in enumerate(sorted(weights, reverse=True))}
    for shard in set(places.values()):
        part = {name: tensor for name, tensor in weights.items() if places[name] == shard}
        save_file(part, moved / shard, {"format": "pt", "another": "note"})
    (moved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (moved / "generation_config.json").write_text("{}")
    (moved / "README.md").write_text("a model")
    assert fingerprint.model_hash(model) == fingerprint.model_hash(moved)


def test_the_model_hash_changes_with_the_weights(model: Path) -> None:
    before = fingerprint.model_hash(model)
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint.model_hash(model) != before


@pytest.mark.parametrize(
    "change",
    [
        {"rms_norm_eps": 1e-3},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
        {"max_position_embeddings": 1024},
        {"sliding_window": 128},
        {"tie_word_embeddings": True},
        {"architectures": ["MistralForCausalLM"]},
        {"quantization_config": {"quant_method": "fp8"}},
        {"text_config": {"attention_bias": True}},
    ],
)
def test_the_model_hash_changes_with_whatever_shapes_the_forward_pass(model: Path, change: dict[str, object]) -> None:
    before = fingerprint.model_hash(model)
    configure(model, **change)
    assert fingerprint.model_hash(model) != before


@pytest.mark.parametrize(
    "change",
    [{"transformers_version": "9.9.9"}, {"_name_or_path": "x"}, {"dtype": "float64"}, {"use_cache": False}],
)
def test_the_model_hash_ignores_who_wrote_the_configuration(model: Path, change: dict[str, object]) -> None:
    configure(model, text_config={"hidden_act": "silu"})
    before = fingerprint.model_hash(model)
    configure(model, **change)
    assert fingerprint.model_hash(model) == before
    configure(model, text_config={"hidden_act": "silu", **change})
    assert fingerprint.model_hash(model) == before


def test_weights_are_read_once_and_again_if_the_note_was_cut_off(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fingerprint.model_hash(model)
    read: list[Path] = []
    tensors = fingerprint._tensors
    monkeypatch.setattr(fingerprint, "_tensors", lambda file, name: read.append(file) or tensors(file, name))
    assert fingerprint.model_hash(model) == first
    assert read == []
    (note,) = (tmp_path / "cache" / "hashes").iterdir()
    note.write_bytes(note.read_bytes()[:-10])
    assert fingerprint.model_hash(model) == first
    assert len(read) == 1


def test_a_fingerprint_changes_with_one_thing_at_a_time(model: Path) -> None:
    roles = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    serialized = synthetic.chat_format().tokenizer.serialized
    template = CHAT + "{{ bos_token }}"
    info = EngineInfo("transformers", "5.0", "bfloat16", 100, 320, "bfloat16")

    def named(*chat: Any, **engine: Any) -> str:
        made = ChatFormat(*(chat or (serialized, template, roles)))
        return fingerprint.fingerprint("m", model, made, replace(info, **engine)).digest

    content = json.loads(serialized)
    content["normalizer"] = {"type": "Lowercase"}
    digests = [
        named(),
        named(serialized, template + " ", roles),
        named(serialized, template, roles | {"bos_token": "<|im_end|>"}),
        named(serialized, template, roles | {"eos_token": "<|im_start|>"}),
        named(serialized, {"default": template, "tool_use": CHAT}, roles),
        named(json.dumps(content), template, roles),
        named(dtype="float32", head_dtype="float32"),
        named(head_dtype="float32"),
        named(version="5.1"),
        named(name="vllm"),
    ]
    assert len(set(digests)) == len(digests)
    same = [
        named(serialized, template, roles | {"pad_token": "<|im_end|>"}),
        named(max_tokens=7, peak_flops=1.0, windows=(5,)),
    ]
    assert set(same) == {digests[0]}


def test_a_record_of_an_older_worker_keeps_its_name() -> None:
    old = {"model": "m", "model_hash": "h", "tokenizer_hash": "t", "engine": "e", "engine_version": "1"}
    old |= {"dtype": "bfloat16", "scoring_version": 1}
    assert Fingerprint.model_validate(old).digest == digest(old)


def test_the_trainer_computes_the_same_tokenizer_hash(demo: ModelFiles, demo_chat: ChatFormat) -> None:
    from transformers import AutoTokenizer

    policy = AutoTokenizer.from_pretrained(demo.path)
    policy.padding_side = "left"
    policy("some text", truncation=True, max_length=3, padding="max_length")
    assert tokenizer_hash(policy.backend_tokenizer.to_str()) == demo_chat.hash
    policy.add_tokens(["<new>"])
    assert tokenizer_hash(policy.backend_tokenizer.to_str()) != demo_chat.hash


def test_the_tokenizer_hash_is_of_the_vocabulary_not_of_file_bytes(demo_chat: ChatFormat) -> None:
    content = json.loads(demo_chat.tokenizer.serialized)
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    content["model"]["vocab"] = dict(reversed(content["model"]["vocab"].items()))
    content["decoder"] = content["post_processor"] = None
    assert tokenizer_hash(json.dumps(content, indent=1)) == demo_chat.hash
    content["model"]["merges"].reverse()
    assert tokenizer_hash(json.dumps(content)) != demo_chat.hash


def test_a_fingerprint_names_model_tokenizer_and_engine(demo: ModelFiles, demo_chat: ChatFormat) -> None:
    info = EngineInfo("transformers", "5.0", "bfloat16", 100, 49152, "bfloat16")
    made = fingerprint.fingerprint(demo.name, demo.path, demo_chat, info)
    assert (made.model, made.engine, made.dtype) == ("SmolLM2-135M-Instruct", "transformers", "bfloat16")
    assert made.tokenizer_hash == demo_chat.hash
    other = fingerprint.fingerprint(
        demo.name, demo.path, demo_chat, EngineInfo("vllm", "5.0", "bfloat16", 100, 49152, "bfloat16")
    )
    assert made.digest != other.digest


def test_a_head_of_its_own_is_another_set_up_and_none_keeps_the_old_name(
    demo: ModelFiles, demo_chat: ChatFormat
) -> None:
    same = EngineInfo("vllm", "5.0", "bfloat16", 100, 49152, head_dtype="bfloat16")
    exact = EngineInfo("vllm", "5.0", "bfloat16", 100, 49152, head_dtype="float32")
    with_same, with_exact = (fingerprint.fingerprint(demo.name, demo.path, demo_chat, info) for info in (same, exact))
    assert with_same.head_dtype is None
    assert with_same.digest == digest(with_same.model_dump(exclude_none=True))
    assert with_exact.digest != with_same.digest
