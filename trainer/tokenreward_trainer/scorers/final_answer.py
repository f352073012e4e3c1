"""The answer behind the thought: what a reasoning model says once it has thought, which is what checks and judges read.

Thoughts of several families are known by their marks. The rule is one for all of them: the answer is what stands behind
the last mark that closes a thought, and there is none where a thought was opened and not closed. A generation prompt
may have opened the thought, so that what a model says need not hold the mark that opens it: `begun_by` finds it.
"""

from __future__ import annotations

import re

#: Tags that models put around a thought. Channels leave bare words where a tokenizer drops its control tokens:
#: `analysisWe need ...assistantfinalIt is 12.`
_TAGS = r"think|thinking|thought|thoughts|reasoning|seed:think"
_OPENS = re.compile(
    rf"(?<!`)(?:<(?:{_TAGS})>|\[think\]|◁think▷|<\|begin_of_thought\|>|<\|start_thinking\|>"
    r"|<\|channel\|>(?:analysis|commentary)\b|<\|channel>thought\b|\A(?-i:analysis(?=[A-Z])))",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"(?<!`)(?:</(?:{_TAGS})>|\[/think\]|◁/think▷|<\|end_of_thought\|>|<\|end_thinking\|>"
    r"|<\|channel\|>final(?:<\|constrain\|>\w+)?<\|message\|>|<channel\|>|(?-i:assistantfinal))",
    re.IGNORECASE,
)
_OPEN_AT_END = re.compile(rf"(?:{_OPENS.pattern})(?:<\|message\|>)?\s*\Z", re.IGNORECASE)
#: What a channel's message ends with. It is no part of the answer.
_MESSAGE_END = re.compile(r"(?:<\|end\|>|<\|return\|>)\s*\Z")


def begun_by(prompt: str) -> str:
    """Returns what a generation prompt has written of the answer: the mark that opens a thought, or nothing."""
    found = _OPEN_AT_END.search(prompt)
    return "" if found is None else found.group()


def answer_start(text: str) -> int | None:
    """Returns where the answer begins in a response's text: 0 without a thought, None if a thought was not closed."""
    start = max((found.end() for found in _CLOSES.finditer(text)), default=0)
    return None if _OPENS.search(text, start) else start


def answer_of(text: str) -> str:
    """Returns the answer of a response.

    Args:
        text: The response with its thought, if it has one.

    Returns:
        The text itself if there is no thought in it. Otherwise what stands behind the thought, without the blanks in
        front; empty if the thought was not closed.
    """
    start = answer_start(text)
    if start is None:
        return ""
    return text if start == 0 else _MESSAGE_END.sub("", text[start:]).lstrip()
