"""Chat templates of every kind that models have, written by hand, each with the tokens that its tokenizer has.

They are as short as their kind allows. `tests/chat_format/test_whole_conversations.py` reads conversations with each of
them and compares with what transformers makes of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_CORPUS = [
    "The capital of France is Paris.\n\nWhat is it?\n\n\nuser assistant system model\n\n\n\n2 + 2 = 4. Because air.",
    'Today Date: 26 Jul 2024 {"name": "weather", "arguments": {"city": "Oslo"}}\n### End\n User: Assistant: tool',
]
#: Llama 3's: line ends in a row become one word.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Kind:
    """A chat template and its tokenizer's tokens.

    Attributes:
        source: The template.
        special: Its control tokens; the last one is the eos token.
        added: Its added tokens that are no control tokens.
        refuses: The conversations (of the test) that it cannot say, each with a part of the reason.
        bos: Whether the first control token is the bos token.
    """

    source: str
    special: Sequence[str]
    added: Sequence[str] = ("<think>", "</think>")
    refuses: dict[str, str] = field(default_factory=dict)
    bos: bool = False


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a kind, with its chat template."""
    kind = KINDS[name]
    made = Tokenizer.from_str(_trained())
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in kind.special])
    made.add_tokens([AddedToken(text, special=False, normalized=False) for text in kind.added])
    roles: dict[str, Any] = {"eos_token": kind.special[-1]} if kind.special else {}
    if kind.bos:
        roles["bos_token"] = kind.special[0]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **roles)
    tokenizer.chat_template = kind.source
    return tokenizer


@cache
def _trained() -> str:
    made = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, whole])
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        _CORPUS * 4, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    return str(made.to_str())


_IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
#: What templates do that write neither thoughts nor calls.
_NO_THOUGHT = {"thought apart": "leaves out the thought"}
_NO_CALL = {"a call": "leaves out the tool calls"}
_PLAIN = _NO_THOUGHT | _NO_CALL

_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + END + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
).replace("END", "'<|im_end|>'")

#: Qwen3's: a thought is split off, an empty one is written where there is none, and earlier ones are dropped.
_QWEN3 = """\
{%- if tools %}{{- '<|im_start|>system\n<tools>' }}{% for t in tools %}{{- '\n' }}{{- t | tojson }}{% endfor %}
{{- '\n</tools><|im_end|>\n' }}{% endif %}
{%- set ns = namespace(last=-1) %}
{%- for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for m in messages %}
{%- set content = m.content if m.content is string else '' %}
{%- if m.role == 'assistant' %}
{%- set thought = '' %}
{%- if m.reasoning_content is string %}{% set thought = m.reasoning_content %}
{%- elif '</think>' in content %}
{%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
{%- set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}
{{- '<|im_start|>assistant\n' }}
{%- if loop.index0 > ns.last and (loop.last or thought) %}
{{- '<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
{%- else %}{{- content }}{% endif %}
{%- for call in m.tool_calls or [] %}{% if content or not loop.first %}{{- '\n' }}{% endif %}
{{- '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}
{{- '}\n</tool_call>' }}{% endfor %}
{{- '<|im_end|>\n' }}
{%- else %}{{- '<|im_start|>' + ('user' if m.role == 'tool' else m.role) + '\n' + content + '<|im_end|>\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}OPENING{% endif %}"""
_OPENS = "{{- '<think>\n\n</think>\n\n' if enable_thinking is defined and not enable_thinking else '<think>\n' }}"
_CLOSED = "{{- '<think>\n' if enable_thinking is defined and enable_thinking else '<think>\n\n</think>\n\n' }}"

#: R1's and its distillations': the prompt opens a thought, and no conversation has one.
_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|User|>' + m['content'] }}"
    "{% elif m['role'] == 'system' %}{{ m['content'] }}"
    "{% elif m['role'] == 'tool' %}{{ '<|tool|>' + m['content'] + '<|/tool|>' }}"
    "{% elif m['tool_calls'] is defined %}{{ '<|Assistant|>' + (m['content'] or '') }}"
    "{% for call in m['tool_calls'] %}{{ '<|call|>' + call['function']['name'] + '\n' }}"
    "{{ '```' + call['function']['arguments'] }}{% endfor %}{{ '<|/call|><|end|>' }}"
    "{% else %}{% set content = m['content'] %}"
    "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<|Assistant|>' + content + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
#: GLM 4.5's: thoughts in one line, contents trimmed, and nothing ends a turn.
_GLM = """\
[gMASK]<sop>
{%- for m in messages %}{% if m.role == 'assistant' %}<|assistant|>
{%- set thought, content = '', m.content or '' %}
{%- if m.reasoning_content is string %}{% set thought = m.reasoning_content %}
{%- elif '</think>' in content %}{% set thought = content.split('</think>')[0].split('<think>')[-1] %}
{%- set content = content.split('</think>')[-1] %}{% endif %}
{{- '\n<think>' + (thought.strip() if loop.last else '') + '</think>' }}
{%- if content.strip() %}{{ '\n' + content.strip() }}{% endif %}
{%- for call in m.tool_calls or [] %}{{ '\n<tool_call>' + call.function.name }}
{%- for k, v in call.function.arguments.items() %}
{{- '\n<arg_key>' + k + '</arg_key>\n<arg_value>' + v + '</arg_value>' }}{% endfor %}{{ '\n</tool_call>' }}{% endfor %}
{%- else %}{{ '<|' + m.role + '|>\n' + m.content }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""
#: Nemotron's: an empty thought in one line, contents as they are if they hold a thought of their own.
_NEMOTRON = """\
{%- for m in messages %}{% if m.role == 'assistant' %}
{%- set content = m.content or '' %}
{%- if m.reasoning_content is defined %}
{%- set content = '<think>\n' + m.reasoning_content + '\n</think>\n' + content %}
{%- elif '<think>' not in content and '</think>' not in content %}
{%- set content = '<think></think>' + content %}{% endif %}
{%- if not loop.last %}{% set content = '<think></think>' + content.split('</think>')[-1] %}{% endif %}
{{- '<|im_start|>assistant\n' + content | trim }}
{%- for call in m.tool_calls or [] %}{{- '\n<tool_call>' + call.function.name + '</tool_call>' }}{% endfor %}
{{- '<|im_end|>\n' }}
{%- else %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n<think>\n' }}{% endif %}"""
#: gpt-oss's: channels, thoughts under another name, and another end for the last turn.
_GPT_OSS = """\
{%- for m in messages %}
{%- if m.role == 'assistant' %}
{%- if 'tool_calls' in m %}
{%- if m.thinking %}{{- '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{% endif %}
{%- set call = m.tool_calls[0].function %}
{{- '<|start|>assistant to=functions.' + call.name + '<|channel|>commentary json<|message|>' }}
{{- call.arguments | tojson }}{{- '<|call|>' }}
{%- else %}
{%- if '<|channel|>final<|message|>' in m.content %}{{ raise_exception('channels in the content') }}{% endif %}
{%- if 'thinking' in m and loop.last %}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{% endif %}
{{- '<|start|>assistant<|channel|>final<|message|>' + m.content }}
{{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}{% endif %}
{%- elif m.role == 'tool' %}
{{- '<|start|>functions.weather to=assistant<|channel|>commentary<|message|>' + m.content + '<|end|>' }}
{%- else %}{{- '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}<|start|>assistant{% endif %}"""
#: Llama 3.1's: a date, everything trimmed, one call in JSON, no text beside it.
_LLAMA3 = """\
{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n<|eot_id|>' }}
{%- for m in messages %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}
{%- if 'tool_calls' in m %}{%- set call = m.tool_calls[0].function %}
{{- '{"name": "' + call.name + '", "parameters": ' }}{{- call.arguments | tojson }}{{- '}' }}
{%- else %}{{- m.content | trim }}{% endif %}
{{- '<|eot_id|>' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""
_GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{{ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}"
    "{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endif %}{% endfor %}"
)
_SPEAKERS = (
    "{% for m in messages %}{{ m['role'] | capitalize + ': ' + m['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)
_HEADINGS = (
    "{% for m in messages %}{{ '### ' + m['role'] + '\n' + m['content'] + '\n### End\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\n' }}{% endif %}"
)
_COHERE = (
    "{{ bos_token }}{% for m in messages %}{{ '<|START|>' + m['role'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<|RESPONSE|>' + m['content'] + '<|/RESPONSE|>' }}{% else %}{{ m['content'] }}"
    "{% endif %}{{ '<|END|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|START|>assistant<|RESPONSE|>' }}{% endif %}"
)
_PHI = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
_PARTS = (
    "{{ '<|im_start|>' }}{% for m in messages %}{{ m['role'] | capitalize + ':' }}{% for part in m['content'] %}"
    "{% if part['type'] == 'text' %}{{ ' ' + part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
_STRIPPED = {
    "thought in the text": "leaves out or rewrites",
    "thought closed in the text": "leaves out or rewrites",
    "thought apart": "leaves out the thought",
}
_NO_THINKING = dict.fromkeys(
    ("thought in the text", "thought closed in the text", "thought apart"), "otherwise with this answer"
)

KINDS: dict[str, Kind] = {
    "chatml": Kind(_CHATML, _IM, refuses=_PLAIN),
    "chatml, the end of turn is no control token": Kind(
        _CHATML, ("<|endoftext|>",), ("<|im_start|>", "<|im_end|>", "<think>", "</think>"), _PLAIN
    ),
    "qwen 3": Kind(_QWEN3.replace("OPENING", ""), _IM, _TAGS),
    "qwen 3, its tags are control tokens": Kind(_QWEN3.replace("OPENING", ""), (*_TAGS, *_IM), ()),
    "qwen 3.5": Kind(_QWEN3.replace("OPENING", _OPENS), _IM, _TAGS),
    "qwen 3.5 that does not think": Kind(_QWEN3.replace("OPENING", _CLOSED), _IM, _TAGS, _NO_THINKING),
    "r1": Kind(
        _R1,
        ("<|bos|>", "<|User|>", "<|Assistant|>", "<|tool|>", "<|/tool|>", "<|call|>", "<|/call|>", "<|end|>"),
        refuses=_STRIPPED,
        bos=True,
    ),
    "glm 4.5": Kind(
        _GLM, ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|endoftext|>"), _TAGS
    ),
    "nemotron": Kind(_NEMOTRON, _IM, _TAGS, {"thought closed in the text": "otherwise with this answer"}),
    "gpt-oss": Kind(_GPT_OSS, ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>")),
    "llama 3": Kind(
        _LLAMA3,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        refuses=_NO_THOUGHT,
        bos=True,
    ),
    "gemma": Kind(_GEMMA, ("<bos>", "<start_of_turn>", "<end_of_turn>", "<eos>"), refuses=_PLAIN, bos=True),
    "mistral": Kind(_MISTRAL, ("<s>", "</s>"), refuses=_PLAIN, bos=True),
    "speakers, nothing ends a turn": Kind(_SPEAKERS, ("<|endoftext|>",), refuses=_PLAIN),
    "headings, a text of several tokens ends a turn": Kind(_HEADINGS, ("<|endoftext|>",), refuses=_PLAIN),
    "cohere, two control tokens end a turn": Kind(
        _COHERE, ("<|bos|>", "<|START|>", "<|RESPONSE|>", "<|/RESPONSE|>", "<|END|>"), refuses=_PLAIN, bos=True
    ),
    "phi, the eos token stands behind everything": Kind(
        _PHI, ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>", "<|endoftext|>"), refuses=_PLAIN
    ),
    "content in parts only": Kind(_PARTS, _IM, refuses=_PLAIN),
}
