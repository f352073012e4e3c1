"""Tokenizers with chat templates of the families that people use, small enough to be built in the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tokenreward_workers.model_files.resolve import resolve_model

_CORPUS = [
    "The capital of France is Paris. What is the capital of Italy?",
    "user assistant system model [INST] Be brief, please. Two and two are four: 2 + 2 = 4.",
    "def f(x):\n    return x\n\n\nCutting Knowledge Date: December 2023 Today Date: 26 Jul 2024",
]

_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_CHATML_GENERATION = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
#: Llama 3.1's, with CONTENT as the template takes a message's text.
_LLAMA3 = (
    "{{ bos_token }}{% if not date_string is defined %}{% if strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = '26 Jul 2024' %}"
    "{% endif %}{% endif %}"
    "{% if messages[0]['role'] == 'system' %}{% set system = CONTENT0 %}{% set messages = messages[1:] %}"
    "{% else %}{% set system = '' %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n' + system + '<|eot_id|>' }}"
    "{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + CONTENT + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
_MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ ' [INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
_SPEAKERS = (
    "{% for m in messages %}{{ m['role'] | capitalize + ': ' + m['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A tokenizer with its chat template.

    Attributes:
        path: A model directory with nothing but the tokenizer, as a worker reads it.
        tokenizer: The same as the trainer gets it.
        trims: Whether the template trims the text of messages.
        ends: Whether the template writes a control token behind an answer.
    """

    path: Path
    tokenizer: Any
    trims: bool = False
    ends: bool = True


def _byte_level(special: Sequence[str], words: str | None = None) -> Tokenizer:
    """Like GPT-2's; `words` is another pattern than GPT-2's by which a text is split before bytes are merged."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if words is not None:
        split = pre_tokenizers.Split(Regex(words), "isolated")
        whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.pre_tokenizer = pre_tokenizers.Sequence([split, whole])
    made.decoder = decoders.ByteLevel()
    options: dict[str, Any] = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet(), "show_progress": False}
    made.train_from_iterator(_CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=list(special), **options))
    return made


def _sentencepiece_bpe(special: Sequence[str], *, prefix: bool) -> Tokenizer:
    """Like Llama 2's (`prefix`: a blank before every text) and Gemma's (none)."""
    merges = [("a", "b"), ("_", "ab"), ("_", "a"), ("_", "b"), ("_", "_"), ("\n", "\n"), ("P", "a"), ("_", "Pa")]
    merges = [(left.replace("_", "\u2581"), right.replace("_", "\u2581")) for left, right in merges]
    letters = sorted({part for merge in merges for part in merge if len(part) == 1})
    pieces = ["<unk>", *special, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *map("".join, merges)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    blanks = normalizers.Replace(" ", "\u2581")
    made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), blanks]) if prefix else blanks
    parts = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)] if prefix else parts)
    made.add_special_tokens([AddedToken(text, normalized=False) for text in ("<unk>", *special)])
    return made


def _unigram(special: Sequence[str], scheme: str) -> Tokenizer:
    """SentencePiece's Unigram; `scheme` says where a blank is put before a text: always, first or never."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.decoder = decoders.Metaspace(prepend_scheme=scheme)
    trainer = trainers.UnigramTrainer(
        vocab_size=220, special_tokens=["<unk>", *special], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(_CORPUS, trainer)
    return made


def _fast(made: Tokenizer, template: str | None, **special: Any) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **special)
    if template is not None:
        tokenizer.chat_template = template
    return tokenizer


def _chatml(template: str = _CHATML) -> PreTrainedTokenizerFast:
    return _fast(_byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]), template, eos_token="<|im_end|>")


def _llama3(content: str) -> PreTrainedTokenizerFast:
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    template = _LLAMA3.replace("CONTENT0", content.replace("m[", "messages[0][")).replace("CONTENT", content)
    return _fast(_byte_level(names, _LLAMA3_WORDS), template, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")


def _gemma() -> PreTrainedTokenizerFast:
    made = _sentencepiece_bpe(["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"], prefix=False)
    return _fast(made, _GEMMA, bos_token="<bos>", eos_token="<eos>")


def _with_s(made: Tokenizer, template: str | None) -> PreTrainedTokenizerFast:
    return _fast(made, template, bos_token="<s>", eos_token="</s>")


def _plain() -> PreTrainedTokenizerFast:
    """A base model's: no chat template, and a post-processor that puts the bos token before a text."""
    made = _byte_level(["<s>", "</s>"])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return _with_s(made, None)


_S = ["<s>", "</s>"]
_BUILT: dict[str, tuple[Callable[[], PreTrainedTokenizerFast], dict[str, bool]]] = {
    "chatml": (_chatml, {}),
    "chatml with generation blocks": (lambda: _chatml(_CHATML_GENERATION), {}),
    "llama 3 with its date": (lambda: _llama3("m['content']"), {}),
    "llama 3 that trims": (lambda: _llama3("m['content'] | trim"), {"trims": True}),
    "gemma": (_gemma, {"trims": True}),
    "unigram, a blank before every text": (lambda: _with_s(_unigram(_S, "always"), _ZEPHYR), {}),
    "unigram, a blank before the first text": (lambda: _with_s(_unigram(_S, "first"), _ZEPHYR), {}),
    "unigram, no blank": (lambda: _with_s(_unigram(_S, "never"), _ZEPHYR), {}),
    "mistral, a blank before every text": (lambda: _with_s(_sentencepiece_bpe(_S, prefix=True), _MISTRAL), {}),
    "mistral, a blank before the first text": (lambda: _with_s(_unigram(_S, "first"), _MISTRAL), {}),
    "mistral, byte level": (lambda: _with_s(_byte_level(_S), _MISTRAL), {}),
    "no control token ends a turn": (
        lambda: _fast(_byte_level(["<|endoftext|>"]), _SPEAKERS, eos_token="<|endoftext|>"),
        {"ends": False},
    ),
    "no control tokens": (lambda: _fast(_byte_level([]), _SPEAKERS), {"ends": False}),
    "no chat template": (_plain, {"ends": False}),
}


@pytest.fixture(scope="session", params=["smollm2", *_BUILT])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Each family in turn; SmolLM2's is the real one."""
    if request.param == "smollm2":
        path = resolve_model("demo").path
        return Family(path, AutoTokenizer.from_pretrained(path))
    build, traits = _BUILT[request.param]
    tokenizer = build()
    path = tmp_path_factory.mktemp("family")
    tokenizer.save_pretrained(path)
    return Family(path, tokenizer, **traits)


@pytest.fixture(scope="session")
def chatml() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with ChatML, for tests of a single rule."""
    return _chatml()
