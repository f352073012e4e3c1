"""Where RTO starts in its benchmark: a tiny model that knows how to answer, and is right about half of the time.

The model is made on the spot: its tokenizer is trained on generated prompts and answers, and its weights by SFT on
answers of which a share is wrong. So nothing is downloaded, and everything takes minutes on a CPU.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward_trainer.training.run import train_run
from tokenreward_trainer.training.settings import run_of

Row = dict[str, Any]

_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = ["<pad>", "<|im_start|>", "<|im_end|>"]


def answers(rows: list[Row], right: float, seed: int = 0) -> list[Row]:
    """Answers to prompts of `arithmetic:1`, of which only a share ends with the right number."""
    dice = random.Random(seed)
    found = []
    for row in rows:
        first, more = re.findall(r"\d+", row["prompt"])[:2]
        number = row["check"]["answer"]
        if dice.random() >= right:
            number += dice.choice((-2, -1, 1, 2))
        found.append({"id": row["id"], "prompt": row["prompt"], "response": f"{first} and {more} make {number}."})
    return found


def start_policy(folder: Path, rows: list[Row], *, right: float, epochs: float) -> Path:
    """Trains the policy that everything starts from.

    Args:
        folder: Where it goes.
        rows: Prompts to answer.
        right: The share of right answers.
        epochs: Passes over them.

    Returns:
        The model's directory.
    """
    said = answers(rows, right)
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said), "utf-8")
    tokenizer = _tokenizer([text for row in said for text in (row["prompt"], row["response"])])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    blank, out = folder / "blank", folder / "start"
    LlamaForCausalLM(config).save_pretrained(blank)
    tokenizer.save_pretrained(blank)
    train = {
        "method": "sft",
        "output_dir": str(out),
        "learning_rate": 2e-3,
        "num_train_epochs": epochs,
        "per_device_train_batch_size": 32,
        "forward_tokens": 4096,
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 20,
    }
    data = {"train": str(folder / "answers.jsonl"), "max_length": 256, "max_prompt_length": 200}
    train_run(run_of({"model": {"name": str(blank), "dtype": "float32"}, "data": data, "train": train}))
    return out


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE whose digits stay apart, with ChatML's control tokens."""
    backend = Tokenizer(models.BPE())
    digits, bytes_ = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    wanted = trainers.BpeTrainer(
        vocab_size=512, special_tokens=_SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([*texts, "user\n", "assistant\n"], wanted)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    fast.chat_template = _CHAT
    return fast
