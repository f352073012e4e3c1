"""Prompts that a row does not state: what comes before the last message, or what both responses begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenreward.dataset.row_values import messages_of
from tokenreward.errors import BadInput
from tokenreward.schema import Message
from tokenreward.schema.items import check_answer
from tokenreward.schema.messages import text_of


def before_last_message(
    row: Mapping[str, Any], side: str, prompt: str | list[dict[str, Any]] | None, where: str
) -> tuple[str | list[dict[str, Any]], dict[str, Any]]:
    """Split a conversational response into its prompt and its message.

    The response is the last message; the prompt is all that comes before it, or `prompt` if nothing does.

    Raises:
        BadInput: The last message is not the assistant's, or the messages before it contradict `prompt`.
    """
    *before, last = messages_of(row, side, where)
    if last["role"] != "assistant":
        raise BadInput(f"{where}, column {side!r}: the last message is from {last['role']!r}, not 'assistant'")
    try:
        check_answer(Message(**last))
    except ValueError:
        raise BadInput(f"{where}, column {side!r}: empty") from None
    if not before:
        if prompt is None:
            raise BadInput(f"{where}, column {side!r}: one message and no `prompt`: nothing it answers")
        return prompt, last
    if isinstance(prompt, list) and prompt != before:
        raise BadInput(f"{where}, column {side!r}: the messages before the last are not those of `prompt`")
    if isinstance(prompt, str) and prompt != text_of(before[-1]["content"]):
        raise BadInput(f"{where}, column {side!r}: the message before the last is not `prompt`")
    return before, last


def common_start(texts: Sequence[str], where: str) -> tuple[str, list[str]]:
    """Split responses into the prompt with which all of them begin, and the rest of each.

    The split is that of TRL's `extract_prompt`: the longest common start, less one trailing space.

    Raises:
        BadInput: They do not begin alike, or a response is empty after the prompt.
    """
    shared = next((i for i, pair in enumerate(zip(*texts, strict=False)) if len(set(pair)) > 1), min(map(len, texts)))
    if shared and texts[0][shared - 1] == " " and all(len(text) > shared for text in texts):
        shared -= 1
    if not shared:
        raise BadInput(f"{where}, column 'prompt': missing, and 'chosen' and 'rejected' do not begin alike")
    rest = [text[shared:] for text in texts]
    if not all(rest):
        raise BadInput(f"{where}: 'chosen' and 'rejected' leave no response after what both begin with")
    return texts[0][:shared], rest
