"""A whole checkpoint of a tiny size: a random Llama with a byte-level tokenizer and ChatML, as transformers saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.support.tiny_models import CHAT, build_llama


def save_checkpoint(
    path: Path, *, model: Any = None, shard: str = "1GB", added: tuple[str, ...] = (), **changes: Any
) -> Path:
    """Writes a checkpoint.

    Args:
        path: A directory.
        model: The model; None makes a Llama of one layer.
        shard: The most bytes of a file of weights.
        added: Further tokens that the tokenizer knows, behind those that the template writes.
        **changes: Of the Llama's configuration.
    """
    tokenizer = chat_tokenizer(added)
    if model is None:
        rows = changes.pop("vocab_size", len(tokenizer))
        model = build_llama(vocab_size=rows, num_hidden_layers=1, **changes)
    model.save_pretrained(path, max_shard_size=shard)
    tokenizer.save_pretrained(path)
    return path


def chat_tokenizer(added: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer without merges, with ChatML's control tokens and template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<|im_start|>", "<|im_end|>", *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    fast.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    fast.chat_template = CHAT
    return fast


def plain_log_probs(path: Path, ids: list[int], **options: Any) -> torch.Tensor:
    """The log-prob of each token but the first by a plain pass, float32 `[len(ids) - 1]`."""
    from transformers import AutoModelForCausalLM

    options = {"dtype": torch.float32, "attn_implementation": "eager"} | options
    model = AutoModelForCausalLM.from_pretrained(path, **options).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(-1)
    return logits[:-1].gather(-1, torch.tensor(ids)[1:, None])[:, 0]
