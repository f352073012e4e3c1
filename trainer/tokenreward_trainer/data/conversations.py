"""What a row asks, read as labeling reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenreward.chat_format import Conversation
from tokenreward.dataset.row_values import check_media, check_prompt, kwargs_of, messages_of, tools_of
from tokenreward.errors import BadInput


def conversation_of(row: Mapping[str, Any], where: str) -> Conversation:
    """Returns what a row asks: its `prompt`, and its `tools` and `chat_template_kwargs` if it has them.

    Args:
        row: The row.
        where: What errors call it.

    Raises:
        BadInput: One of them cannot be read.
    """
    prompt = row.get("prompt")
    if isinstance(prompt, list):
        prompt = messages_of(row, "prompt", where)
        check_prompt(prompt, "prompt", where)
    elif not isinstance(prompt, str) or not prompt:
        raise BadInput(f"{where}: `prompt` must be text, or messages with text `role` and `content`")
    check_media(row, where)
    tools, kwargs = tools_of(row, where), kwargs_of(row, where)
    try:
        return Conversation.of(prompt, tools, kwargs)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
