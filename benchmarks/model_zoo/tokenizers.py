"""Small tokenizers of the two kinds that chat models have: byte-level BPE, and SentencePiece's BPE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

_CORPUS = (
    "The capital of France is Paris. What is the capital of Italy? user assistant system model tool\n\n",
    "Be brief, please. Two and two are four: 2 + 2 = 4.\n\ndef f(x):\n    return x\n\n\n  two blanks \n",
    "<think>\nthink\n</think>\n\n<tool_call>\n{}\n</tool_call>\n\nToday Date: 26 Jul 2024\n\n",
)
#: How Llama 3, Qwen and most others since split a text before bytes are merged: line ends stay together.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def byte_level(control: Sequence[str], added: Sequence[str] = ()) -> Tokenizer:
    """A tokenizer like Llama 3's.

    Args:
        control: Its special tokens.
        added: Tokens that are never split and that are not special, as Qwen 3's `<think>` is.
    """
    made = Tokenizer(models.BPE())
    bytes_of_words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_WORDS), "isolated"), bytes_of_words])
    made.decoder = decoders.ByteLevel()
    options: dict[str, Any] = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet(), "show_progress": False}
    trainer = trainers.BpeTrainer(vocab_size=300 + len(control), special_tokens=list(control), **options)
    made.train_from_iterator(_CORPUS, trainer)
    made.add_tokens([AddedToken(text, normalized=False, special=False) for text in added])
    return made


def sentencepiece(control: Sequence[str], added: Sequence[str] = (), *, prefix: bool) -> Tokenizer:
    """A tokenizer like Llama 2's or Gemma's; the arguments are those of `byte_level`.

    Args:
        control: See `byte_level`.
        added: See `byte_level`.
        prefix: Whether a blank is put before every text, as Llama 2's tokenizer does and Gemma's does not.
    """
    merges = [("a", "b"), ("_", "a"), ("_", "t"), ("_", "_"), ("\n", "\n"), ("i", "s"), ("_", "is"), ("P", "a")]
    merges = [(left.replace("_", "\u2581"), right.replace("_", "\u2581")) for left, right in merges]
    letters = sorted({part for merge in merges for part in merge if len(part) == 1})
    pieces = ["<unk>", *control, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *map("".join, merges)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    blanks = normalizers.Replace(" ", "\u2581")
    made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), blanks]) if prefix else blanks
    parts = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)] if prefix else parts)
    made.add_special_tokens([AddedToken(text, normalized=False) for text in ("<unk>", *control)])
    made.add_tokens([AddedToken(text, normalized=False, special=False) for text in added])
    return made


def loaded(made: Tokenizer, template: str, bos: str | None, eos: str | None) -> Any:
    """Give a tokenizer a chat template and its roles, as transformers' `AutoTokenizer` would return it."""
    from transformers import PreTrainedTokenizerFast

    roles = {role: text for role, text in (("bos_token", bos), ("eos_token", eos)) if text is not None}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **roles)
    tokenizer.chat_template = template
    return tokenizer


def chatml() -> Any:
    """The tokenizer that lies beside the models of `architectures`: fewer than 320 tokens, and ChatML."""
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    return loaded(byte_level(_CHATML), template, None, "<|im_end|>")
