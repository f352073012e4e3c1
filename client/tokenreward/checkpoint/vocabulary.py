"""The tokenizer against the embedding: whether the model knows every token that its chat template writes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput


def rows_of(config: Mapping[str, Any]) -> int | None:
    """Return how many rows the embedding has by config.json; None where it leaves that to a default.

    Args:
        config: The content of config.json.
    """
    nested = config.get("text_config")
    for part in (config, nested if isinstance(nested, dict) else {}):
        if isinstance(rows := part.get("vocab_size"), int):
            return rows
    return None


def check_rows(chat: ChatFormat, rows: int, where: object) -> None:
    """Refuse a tokenizer whose chat template writes tokens that the model has no embedding for.

    Other tokens beyond the embedding are allowed: a prompt that has one fails by itself.

    Args:
        chat: The model's `ChatFormat`.
        rows: How many rows the embedding has.
        where: The model, for the message.

    Raises:
        BadInput: They do not fit.
    """
    written: list[int] = []
    for ids_of in (chat.prompt_ids, chat.answer_ids):
        with contextlib.suppress(BadInput):  # a template may refuse these texts, and takes others
            written += ids_of("a")
    if max(written, default=0) >= rows:
        raise BadInput(
            f"{where}: the tokenizer has ids up to {chat.tokenizer.vocabulary - 1}, the model takes {rows} "
            f"(0 to {rows - 1}), and the chat template itself writes {max(written)}: resize the model's embedding, or "
            "take the tokenizer that it was trained with"
        )
