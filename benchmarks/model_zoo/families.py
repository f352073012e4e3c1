"""The chat templates that are tried, each with the control tokens of its models and a tokenizer of their kind.

Most are what TRL ships of the published ones. Those in `chat_templates` are written after published ones that TRL does
not ship.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.model_zoo.tokenizers import byte_level, loaded, sentencepiece

_OURS = Path(__file__).parent / "chat_templates"

_IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LLAMA3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_GEMMA = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")
_GEMMA4 = (
    *("<bos>", "<eos>", "<|think|>", '<|"|>'),
    *(f"<|{name}>" for name in ("turn", "channel", "tool", "tool_call", "tool_response")),
    *(f"<{name}|>" for name in ("turn", "channel", "tool", "tool_call", "tool_response")),
)
_COHERE = (
    *("<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>"),
    *("<|CHATBOT_TOKEN|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"),
)
_DEEPSEEK = (
    *("<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
    *(f"<\uff5c{name}\uff5c>" for name in ("User", "Assistant", "tool\u2581sep")),
    *(
        f"<\uff5ctool\u2581{name}\uff5c>"
        for part in ("calls", "call", "outputs", "output")
        for name in (f"{part}\u2581begin", f"{part}\u2581end")
    ),
)
_GLM = ("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
_HARMONY = (
    "<|startoftext|>",
    *("<|endoftext|>", "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|call|>", "<|return|>", "<|constrain|>"),
)
_PHI3 = ("<s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
_TEKKEN = (
    *("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]"),
    *("[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
)
_GRANITE = ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>")
_MUSE = ("<|begin_of_text|>", "<|start|>", "<|message|>", "<|eom|>", "<|eot|>")
#: Tokens of their own that are not special in these models.
_THINK = ("<think>", "</think>")
_THINK_AND_TOOLS = (*_THINK, "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")


@dataclass(frozen=True, slots=True)
class Family:
    """A chat template and the tokenizer that it belongs to.

    Attributes:
        name: Of the models, for the table.
        template: The name of the template's file, without its ending.
        control: The special tokens.
        bos: The special token that opens a text; None if there is none.
        eos: The special token that ends a text; None if there is none.
        end: What the template writes to end an assistant's turn; empty if it writes nothing.
        added: Tokens of their own that are not special.
        pieces: The kind of tokenizer; `prefixed` is SentencePiece with a blank before every text.
        shipped: Whether TRL ships the template.
        thought: What the template calls the thought of a message.
        arguments: Whether its tool calls have their arguments as an object or as JSON text.
    """

    name: str
    template: str
    control: tuple[str, ...]
    bos: str | None
    eos: str | None
    end: str
    added: tuple[str, ...] = ()
    pieces: Literal["bytes", "sentencepiece", "prefixed"] = "bytes"
    shipped: bool = True
    thought: str = "reasoning_content"
    arguments: Literal["object", "text"] = "object"

    def source(self) -> str:
        """The template's jinja2 source."""
        folder = _trl() if self.shipped else _OURS
        return (folder / f"{self.template}.jinja").read_text("utf-8")

    def tokenizer(self) -> Any:
        """A small tokenizer with these control tokens and this template."""
        if self.pieces == "bytes":
            made = byte_level(self.control, self.added)
        else:
            made = sentencepiece(self.control, self.added, prefix=self.pieces == "prefixed")
        return loaded(made, self.source(), self.bos, self.eos)


def _im(name: str, template: str, added: tuple[str, ...] = (), **others: Any) -> Family:
    """A family whose turns stand between `<|im_start|>` and `<|im_end|>`."""
    return Family(name, template, _IM, None, "<|im_end|>", "<|im_end|>", added, **others)


def _llama3(name: str, template: str) -> Family:
    return Family(name, template, _LLAMA3, "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>")


def _deepseek(name: str, template: str) -> Family:
    return Family(name, template, _DEEPSEEK, _DEEPSEEK[0], _DEEPSEEK[1], _DEEPSEEK[1], _THINK, arguments="text")


def _ours(name: str, template: str, control: tuple[str, ...], end: str, **others: Any) -> Family:
    """A family of `chat_templates` whose bos and eos tokens are `<s>` and `</s>`, as far as it has them."""
    bos, eos = ("<s>" if "<s>" in control else None), ("</s>" if "</s>" in control else None)
    return Family(name, template, control, bos, eos, end, shipped=False, **others)


_S = ("<s>", "</s>")

FAMILIES: list[Family] = [
    _im("ChatML", "chatml", shipped=False),
    _im("Qwen 2.5", "qwen2_5"),
    _im("Qwen 3", "qwen3", _THINK_AND_TOOLS),
    _im("Qwen 3 Instruct 2507", "qwen3_instruct_2507", _THINK_AND_TOOLS),
    _im("Qwen 3.5, thinking", "qwen3_5_think", _THINK_AND_TOOLS),
    _im("Qwen 3.5, not thinking", "qwen3_5_nothink", _THINK_AND_TOOLS),
    _im("Qwen 3.6", "qwen3_6", _THINK_AND_TOOLS),
    _im("Qwen 3.8", "qwen3_8", _THINK_AND_TOOLS),
    _im("SmolLM 3", "smollm3", _THINK, shipped=False),
    _im("Nemotron 3 Nano", "nemotron_3_nano", _THINK_AND_TOOLS),
    _im("Nemotron 3 Ultra", "nemotron_3_ultra", _THINK_AND_TOOLS),
    _im("Nemotron 3.5 Lightning", "nemotron_3_5_lightning", _THINK_AND_TOOLS),
    Family("LFM 2", "lfm2_v2", ("<|startoftext|>", *_IM), "<|startoftext|>", "<|im_end|>", "<|im_end|>"),
    Family("LFM 2.5", "lfm2_2_5_v2", ("<|startoftext|>", *_IM), "<|startoftext|>", "<|im_end|>", "<|im_end|>", _THINK),
    _llama3("Llama 3", "llama3"),
    _llama3("Llama 3.1, with its date", "llama3_1"),
    _llama3("Llama 3.2, with its date", "llama3_2"),
    _ours("Llama 2", "llama2", _S, "</s>", pieces="prefixed"),
    Family("Gemma, Gemma 2", "gemma", _GEMMA, "<bos>", "<eos>", "<end_of_turn>", pieces="sentencepiece"),
    Family("Gemma 3", "gemma3", _GEMMA, "<bos>", "<eos>", "<end_of_turn>", pieces="sentencepiece"),
    Family("Gemma 4", "gemma4_v5", _GEMMA4, "<bos>", "<eos>", "<turn|>", pieces="sentencepiece"),
    _ours("Mistral, [INST] as text", "mistral", _S, "</s>", pieces="prefixed"),
    _ours("Mistral, [INST] as a token", "mistral_tekken", _TEKKEN, "</s>"),
    _ours("Zephyr", "zephyr", _S, "</s>", pieces="prefixed"),
    _ours("T\u00fclu, OLMo 2", "tulu", _S, "</s>"),
    Family("Phi 3", "phi3", _PHI3, "<s>", "<|endoftext|>", "<|end|>", pieces="prefixed"),
    Family("Phi 3.5", "phi3_5", _PHI3, "<s>", "<|endoftext|>", "<|end|>", pieces="prefixed"),
    Family("Phi 4", "phi4", (*_IM, "<|im_sep|>"), None, "<|im_end|>", "<|im_end|>", shipped=False),
    _deepseek("DeepSeek V3", "deepseekv3"),
    _deepseek("DeepSeek R1 distilled", "deepseek_r1_distill"),
    Family("DeepSeek LLM", "deepseek_chat", _DEEPSEEK, *_DEEPSEEK[:2], _DEEPSEEK[1], shipped=False),
    Family("GLM 4", "glm4", _GLM, None, "<|endoftext|>", "", shipped=False),
    Family("GLM 4.5", "glm4moe", _GLM, None, "<|endoftext|>", "", _THINK),
    Family("Granite, with its date", "granite", _GRANITE, None, _GRANITE[0], _GRANITE[0], shipped=False),
    Family("Command R, Aya Expanse", "cohere", _COHERE, "<BOS_TOKEN>", _COHERE[2], _COHERE[2]),
    Family("Command A, Aya Earth", "cohere2", _COHERE, "<BOS_TOKEN>", _COHERE[2], _COHERE[2]),
    Family("gpt-oss", "gptoss", _HARMONY, "<|startoftext|>", "<|return|>", "<|return|>", thought="thinking"),
    Family("Muse Glimmer", "muse_glimmer", _MUSE, "<|begin_of_text|>", "<|eot|>", "<|eot|>"),
    Family("Nemotron Mini", "nemotron_mini", ("<s>", "</s>", "<extra_id_0>", "<extra_id_1>"), *_S, "", shipped=False),
    Family("OpenChat", "openchat", (*_S, "<|end_of_turn|>"), *_S, "<|end_of_turn|>", pieces="prefixed", shipped=False),
    _ours("Vicuna", "vicuna", _S, "</s>", pieces="prefixed"),
    Family("Falcon", "falcon", ("<|endoftext|>",), None, "<|endoftext|>", "", shipped=False),
    Family("turns that end in plain text", "several_tokens", _S, *_S, "\n### End", shipped=False),
]


def _trl() -> Path:
    found = importlib.util.find_spec("trl")
    if found is None or found.origin is None:
        raise SystemExit("the chat templates of TRL are missing: run `make setup`")
    return Path(found.origin).parent / "chat_templates"
