"""Fingerprints: equal for what computes the same, different for what may not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenreward.chat_format import ChatFormat
from tokenreward.chat_format.tokenizer_hash import tokenizer_hash
from tokenreward.schema import digest
from tokenreward_workers.engines.base import EngineInfo
from tokenreward_workers.model_files import fingerprint
from tokenreward_workers.model_files.resolve import ModelFiles


@pytest.fixture
def model(tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKENREWARD_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(tiny("llama"), tmp_path / "model"))


def test_the_model_hash_is_of_content_not_of_where_it_lies(model: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(model, tmp_path / "elsewhere"))
    assert fingerprint.model_hash(model, "t") == fingerprint.model_hash(moved, "t")


def test_the_model_hash_changes_with_weights_configuration_and_chat_template(model: Path) -> None:
    hashes = {fingerprint.model_hash(model, "t"), fingerprint.model_hash(model, "u")}
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    hashes.add(fingerprint.model_hash(model, "t"))
    config = json.loads((model / "config.json").read_text())
    config["rms_norm_eps"] = 1e-3
    (model / "config.json").write_text(json.dumps(config))
    hashes.add(fingerprint.model_hash(model, "t"))
    assert len(hashes) == 4


def test_the_model_hash_ignores_who_wrote_the_configuration(model: Path) -> None:
    before = fingerprint.model_hash(model, "t")
    config = json.loads((model / "config.json").read_text())
    config |= {"transformers_version": "9.9.9", "_name_or_path": "x", "dtype": "float64"}
    (model / "config.json").write_text(json.dumps(config, indent=4))
    assert fingerprint.model_hash(model, "t") == before


def test_weights_are_read_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint.model_hash(model, "t")
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert fingerprint.model_hash(model, "t") == first


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
    assert with_same.digest == digest(with_same.model_dump(exclude={"head_dtype"}))
    assert with_exact.digest != with_same.digest
