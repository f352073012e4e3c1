"""Loading by transformers: every key accounted for, with and without reading weights, and every failure in one line."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, DeepseekV3Config, LlamaForSequenceClassification, MixtralConfig

from tests.support.tiny_checkpoint import chat_tokenizer, save_checkpoint
from tests.support.tiny_models import build_gemma, build_llama
from tokenreward.chat_format import ChatFormat
from tokenreward.checkpoint.keys import check_keys
from tokenreward.checkpoint.loading import CAUSAL_LM, in_one_line, load_model, load_tokenizer
from tokenreward.checkpoint.vocabulary import check_rows
from tokenreward.errors import BadInput

#: The two ways of accounting for keys: by loading the model, and by the files' headers alone.
WAYS: list[Callable[[Path], Any]] = [lambda folder: load_model(CAUSAL_LM, folder), check_keys]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "model")


def refusals(folder: Path) -> set[str]:
    """What the two ways say, which is the same."""
    said = set()
    for way in WAYS:
        with pytest.raises(BadInput) as caught:
            way(folder)
        said.add(str(caught.value))
    return said


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def configure(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_whole_model_is_loaded_and_remembers_the_name_it_was_asked_for_by(folder: Path) -> None:
    for way in WAYS:
        way(folder)
    model = load_model(CAUSAL_LM, folder, "acme/tiny")
    assert model.config._name_or_path == "acme/tiny"
    assert load_tokenizer(folder, "acme/tiny").name_or_path == "acme/tiny"


def test_missing_unexpected_and_mismatched_keys_are_named(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    key = "model.layers.0.mlp.up_proj.weight"
    edits: list[tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = [
        (lambda weights: weights.pop(key), f"is not whole: its files lack {key}"),
        (lambda weights: weights.update({"extra.weight": torch.ones(2)}), "does not know extra.weight"),
        (
            lambda weights: weights.update({key: torch.ones(64, 31)}),
            f"{key} (64x31 in the files, 64x32 by config.json)",
        ),
        (lambda weights: weights.update({"lm_head.weight": torch.ones(7, 32)}), "lm_head.weight (7x32"),
    ]
    for edit, said in edits:
        (folder / "model.safetensors").write_bytes(whole)
        change(folder, edit)
        (line,) = refusals(folder)
        assert said in line


def test_many_keys_are_counted_and_not_listed(folder: Path) -> None:
    configure(folder, num_hidden_layers=2)
    (line,) = refusals(folder)
    assert line.endswith("and 6 more")
    configure(folder, num_hidden_layers=1, vocab_size=300)
    (line,) = refusals(folder)
    assert "300x32 by config.json" in line


def test_torchs_own_files_are_accounted_for_too(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    for way in WAYS:
        way(folder)
    weights.pop("model.norm.weight")
    torch.save(weights, folder / "pytorch_model.bin")
    assert all("lack model.norm.weight" in line for line in refusals(folder))


def test_a_pickle_that_is_no_weights_is_one_line(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": print}))
    for line in refusals(folder):
        assert line.startswith("the model in ")
        assert "\n" not in line


@pytest.mark.parametrize("architecture", ["tied", "gemma2", "mixtral", "deepseek_v3"])
def test_tied_weights_merged_experts_and_layers_for_speculation_are_no_fault(tmp_path: Path, architecture: str) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    rows = {"vocab_size": len(chat_tokenizer()), "pad_token_id": 0}
    if architecture == "tied":
        model: Any = build_llama(tie_word_embeddings=True, num_hidden_layers=1, vocab_size=rows["vocab_size"])
    elif architecture == "gemma2":
        model = build_gemma()
    elif architecture == "mixtral":
        model = AutoModelForCausalLM.from_config(MixtralConfig(**sizes, **rows, num_local_experts=3))
    else:
        latent = {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 4}
        experts = {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2}
        experts |= {"moe_intermediate_size": 16, "first_k_dense_replace": 1}
        model = AutoModelForCausalLM.from_config(DeepseekV3Config(**sizes, **rows, **latent, **experts))
    folder = save_checkpoint(tmp_path / "model", model=model)
    if architecture == "deepseek_v3":
        change(folder, lambda weights: weights.update({"model.layers.61.embed_tokens.weight": torch.ones(2)}))
    if architecture == "mixtral":
        (part, *_) = [key for key in load_file(folder / "model.safetensors") if "experts.2" in key]
        for way in WAYS:
            way(folder)
        change(folder, lambda weights: weights.pop(part))
        for way in WAYS:
            with pytest.raises(BadInput) as caught:
                way(folder)
            assert "\n" not in str(caught.value)
        return
    for way in WAYS:
        way(folder)


def test_weights_that_are_tied_and_different_are_refused_whichever_engine_reads_them(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "model")
    configure(folder, tie_word_embeddings=True)
    (line,) = refusals(folder)
    assert "by tie_word_embeddings in config.json, lm_head.weight is model.embed_tokens.weight" in line
    change(folder, lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()}))
    for way in WAYS:
        way(folder)


def test_a_reward_model_without_its_score_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "model")
    with pytest.raises(BadInput, match=r"lack score\.weight"):
        load_model("AutoModelForSequenceClassification", folder)
    config = build_llama(num_hidden_layers=1, vocab_size=len(chat_tokenizer())).config
    config.num_labels = 1
    LlamaForSequenceClassification(config).save_pretrained(tmp_path / "scores")
    load_model("AutoModelForSequenceClassification", tmp_path / "scores")
    with pytest.raises(BadInput, match=r"lack lm_head\.weight"):
        load_model(CAUSAL_LM, tmp_path / "scores")


def test_a_kind_of_model_that_transformers_does_not_know_is_left_to_the_engine(folder: Path) -> None:
    configure(folder, model_type="tomorrow", architectures=["Tomorrow"])
    check_keys(folder)
    with pytest.raises(BadInput, match="tomorrow"):
        load_model(CAUSAL_LM, folder)


def test_whatever_is_raised_is_one_line() -> None:
    class Odd(BaseException):
        pass

    for error, said in (
        (KeyError("rope"), "the model cannot be loaded: KeyError: 'rope'"),
        (RuntimeError("\n\nfirst\nsecond"), "the model cannot be loaded: RuntimeError: first"),
        (ValueError("first\nsecond"), "the model cannot be loaded: first"),
        (BadInput("one\ntwo"), "one"),
        (RuntimeError("see the above report"), "the model cannot be loaded: its weights cannot be put together"),
    ):
        with pytest.raises(BadInput) as caught, in_one_line("the model"):
            raise error
        assert str(caught.value).startswith(said)
        assert "\n" not in str(caught.value)
    with pytest.raises(Odd), in_one_line("the model"):
        raise Odd


def test_a_template_whose_tokens_the_model_does_not_know_is_refused_and_other_tokens_are_not(tmp_path: Path) -> None:
    chat = ChatFormat.load(save_checkpoint(tmp_path / "model", added=("<image>",)))
    image = chat.tokenizer.vocabulary - 1
    check_rows(chat, image, "the model")
    with pytest.raises(BadInput, match=r"the tokenizer has ids up to 259, the model takes 200 \(0 to 199\)"):
        check_rows(chat, 200, "the model")
