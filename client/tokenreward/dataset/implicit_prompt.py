"""Prompts that a row does not state: what comes before the last message, or what both responses begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenreward.dataset.row_values import messages_of
from tokenreward.errors import BadInput


def before_last_message(
    row: Mapping[str, Any], side: str, prompt: str | list[dict[str, str]] | None, where: str
) -> tuple[str | list[dict[str, str]], str]:
    """Split a conversational response into its prompt and its text.

    The text is the last message; the prompt is all that comes before it, or `prompt` if nothing does.

    Raises:
        BadInput: The last message is not the assistant's, or the messages before it contradict `prompt`.
    """
    *before, last = messages_of(row, side, where)
    if last["role"] != "assistant":
        raise BadInput(f"{where}, column {side!r}: the last message is from {last['role']!r}, not 'assistant'")
    if not last["content"]:
        raise BadInput(f"{where}, column {side!r}: empty")
    if not before:
        if prompt is None:
            raise BadInput(f"{where}, column {side!r}: one message and no `prompt`: nothing it answers")
        return prompt, last["content"]
    if isinstance(prompt, list) and prompt != before:
        raise BadInput(f"{where}, column {side!r}: the messages before the last are not those of `prompt`")
    if isinstance(prompt, str) and prompt != before[-1]["content"]:
        raise BadInput(f"{where}, column {side!r}: the message before the last is not `prompt`")
    return before, last["content"]


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
