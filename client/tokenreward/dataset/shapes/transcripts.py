r"""Dialogues that are one text: Anthropic's HH (`\n\nHuman:`, `\n\nAssistant:`) and HelpSteer's (`<extra_id_1>User`).

Blanks around a turn belong to the form of the transcript, and are left out.
"""

from __future__ import annotations

import re
from typing import Any

from tokenreward.errors import BadInput

Messages = list[dict[str, Any]]

#: What ends the prompt of an HH transcript.
HH_ANSWER = "\n\nAssistant:"

_HH_TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
_HELPSTEER_TURN = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")
_ROLES = {"Human": "user", "User": "user", "Assistant": "assistant"}
#: What texts begin with that a chat template has written already.
_RENDERED = re.compile(
    r"\s*(?:<s>|<bos>|<\|begin_of_text\|>)?\s*"
    r"(<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|\[INST\]|<\|(?:user|system)\|>)"
)

#: What messages begin with that were written as text, as JSON or as Python shows them.
_WRITTEN_MESSAGES = re.compile(r"""\s*\[\s*\{\s*["'](?:role|from|content|value)["']\s*:""")


def is_hh(text: str) -> bool:
    """Return whether a text is a transcript that begins with a human's turn and has an assistant's."""
    return text.lstrip().startswith("Human:") and HH_ANSWER in text


def hh_answered(text: str, where: str) -> tuple[Messages, str]:
    """Split an HH transcript at its last assistant's turn.

    Args:
        text: The transcript.
        where: How a person finds it.

    Returns:
        The turns before that turn, and its text.

    Raises:
        BadInput: A human's turn comes after it, which would be taken for a part of the response.
    """
    asked, _, answer = text.rpartition(HH_ANSWER)
    check_answer(answer, where)
    return _turns(_HH_TURN, asked.strip()), answer.strip()


def check_answer(answer: str, where: str) -> None:
    """Refuse an answer to an HH transcript that holds further turns. Raises BadInput."""
    if _HH_TURN.search(answer):
        raise BadInput(f"{where}: the transcript ends with a human's turn, so there is no response to label")


def hh_turns(text: str, where: str) -> Messages:
    """Return all turns of an HH transcript that ends with an assistant's. Raises BadInput as `hh_answered` does."""
    asked, answer = hh_answered(text, where)
    return [*asked, {"role": "assistant", "content": answer}]


def prompt_turns(text: str) -> Messages | None:
    """Return the turns of a prompt that is a transcript, or None for any other prompt.

    An HH prompt begins with `Human:` and ends with `Assistant:`. HelpSteer's prompts of several turns have markers
    between them, and begin with the user's first turn.
    """
    bare = text.strip()
    if bare.startswith("Human:") and bare.endswith("Assistant:") and HH_ANSWER in text:
        return _turns(_HH_TURN, bare.removesuffix("Assistant:").strip())
    if "<extra_id_1>Assistant\n" in text:
        begun = text if text.lstrip().startswith("<extra_id_1>") else f"<extra_id_1>User\n{text}"
        turns = _turns(_HELPSTEER_TURN, begun)
        return turns[:-1] if turns[-1]["role"] == "assistant" and not turns[-1]["content"] else turns
    return None


def check_plain(text: str, column: str, where: str) -> None:
    """Refuse a text that is a conversation in disguise: it would be put into a chat template as one message.

    Raises:
        BadInput: The text begins with a chat template's marker, or as messages that were written as text.
    """
    if _WRITTEN_MESSAGES.match(text):
        raise BadInput(f"{where}, column {column!r}: messages that were written as text; write them as a list")
    if found := _RENDERED.match(text):
        raise BadInput(
            f"{where}, column {column!r}: a chat template has written this text already ({found[1]}), and it would be "
            "written into another one; give messages (`role` and `content`), or the text without markers"
        )


def _turns(marker: re.Pattern[str], text: str) -> Messages:
    pieces = marker.split(text)
    speakers, said = pieces[1::2], pieces[2::2]
    return [{"role": _ROLES[who], "content": what.strip()} for who, what in zip(speakers, said, strict=True)]
