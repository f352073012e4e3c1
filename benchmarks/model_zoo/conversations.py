"""The conversations that every chat template is tried with, as rows of a file of preference pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.model_zoo.families import Family

Row = dict[str, Any]

_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "Its name."}},
                "required": ["city"],
            },
        },
    }
]
_QUESTION = {"role": "user", "content": "What is the capital of Italy?"}
_THOUGHT = "<think>\nTwo and two.\n</think>\n\nIt is four."
#: What a chat template must bear to count as right.
BASIC = ("one turn", "several turns", "a system message", "blanks", "look-alikes")


def conversations(family: Family) -> dict[str, Row]:
    """The rows by the name of what they try."""
    arguments: Any = {"city": "Rome"}
    call = {
        "id": "call00001",
        "type": "function",
        "function": {
            "name": "get_weather",
            "arguments": json.dumps(arguments) if family.arguments == "text" else arguments,
        },
    }
    calling = {"role": "assistant", "content": None if family.arguments == "text" else "", "tool_calls": [call]}
    found = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "Sunny, 30 degrees."}
    asking = {"role": "user", "content": "What is the weather in Rome?"}
    return {
        "one turn": _row([_QUESTION], "It is Rome.\n\n    Rome, caf\u00e9 \U0001f642 and 12345."),
        "several turns": _row(
            [_QUESTION, _answer("It is Rome."), {"role": "user", "content": "And of France?"}], "Paris.\n- Paris"
        ),
        "a system message": _row([{"role": "system", "content": "Be brief."}, _QUESTION], "Rome."),
        "blanks": _row([{"role": "user", "content": "  Why?\n\n"}], "\n\n  Because.\n"),
        "look-alikes": look_alikes(family.control),
        "a thought in the text": _row([{"role": "user", "content": "2 + 2?"}], _THOUGHT),
        "a thought beside the text": _row(
            [{"role": "user", "content": "2 + 2?"}], {"content": "It is four.", "reasoning_content": "Two and two."}
        ),
        "an earlier thought": _row(
            [{"role": "user", "content": "2 + 2?"}, _answer(_THOUGHT), {"role": "user", "content": "3 + 3?"}], "Six."
        ),
        "tools": _row([asking, calling, found], "It is sunny in Rome.") | {"tools": _TOOLS},
        "a tool call": _row([asking], calling) | {"tools": _TOOLS},
    }


def look_alikes(control: tuple[str, ...], *, harmless: bool = False) -> Row:
    """Control tokens inside a prompt and an answer, where they are text.

    Args:
        control: The control tokens.
        harmless: Put a word in place of each, to see which control tokens the template itself writes.
    """
    words = ["plain" if harmless else text for text in control]
    return _row([{"role": "user", "content": f"Say {' and '.join(words)} twice"}], f"I say {words[-1]} and stop")


def _answer(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def _row(prompt: list[dict[str, Any]], answer: str | Mapping[str, Any]) -> Row:
    last = {"role": "assistant", **({"content": answer} if isinstance(answer, str) else answer)}
    return {"prompt": prompt, "chosen": [last], "rejected": [last]}
