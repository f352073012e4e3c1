"""What a row of an input file says: its prompt and its one response, or its chosen and rejected ones.

The formats are TRL's, standard (text) and conversational (messages), with the prompt in a column of its own or
implied by what both responses begin with. The first row decides; a later row that differs is an error that names it.
A response may come with its token ids (`token_ids`, or `chosen_token_ids` and `rejected_token_ids`) and a flag whether
it is `finished`: ids are sent as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokenreward.errors import BadInput

Kind = Literal["response", "preference"]

#: Columns that may hold the one response of a row, the first that is there.
_SINGLE = ("response", "completion", "messages")
#: Columns of an input, each behind `prefix(side)`: a response's token ids, and whether it ends its turn.
IDS, FINISHED = "token_ids", "finished"
#: The columns that labels add, each behind `prefix(side)`. Ids that the input has stay what they are.
LABELS = (IDS, "token_rewards", "token_error")
TEXTS = ("tokens", "token_offsets")


def prefix(side: str) -> str:
    """`chosen` -> `chosen_`; the only response of a row has none."""
    return f"{side}_" if side in {"chosen", "rejected"} else ""


@dataclass(frozen=True)
class Response:
    """One response of a row: `prompt` is text or messages, `text` what is to be labeled.

    token_ids: what it was sampled as, where the row says so.  finished: it ends its turn.
    """

    side: str
    prompt: str | list[dict[str, str]]
    text: str
    token_ids: tuple[int, ...] | None = None
    finished: bool = True

    def item(self) -> dict[str, Any]:
        content = {"response": self.text} if self.token_ids is None else {"token_ids": self.token_ids}
        return {"prompt": self.prompt, **content, **({} if self.finished else {"finished": False})}


@dataclass(frozen=True)
class Layout:
    """How the rows of one file are read.

    sides: the columns with responses.  conversational: they are lists of messages.
    prompt: its column's form, or None if the responses imply it.
    """

    kind: Kind
    sides: tuple[str, ...]
    conversational: bool
    prompt: Literal["text", "messages"] | None

    @property
    def columns(self) -> tuple[str, ...]:
        """What must be read from a row."""
        return (*(("prompt",) if self.prompt else ()), *self.sides)

    def added(self, texts: bool) -> list[str]:
        """The columns that labeling adds, in order."""
        return [prefix(side) + name for side in self.sides for name in (LABELS + (TEXTS if texts else ()))]

    def responses(self, row: Mapping[str, Any], where: str) -> list[Response]:
        """The row's responses, one a side. Raises BadInput that begins with `where` and names the column."""
        prompt = _prompt(row, self.prompt, where)
        if self.conversational:
            pairs = [_last_message(row, side, prompt, where) for side in self.sides]
            if len(pairs) == 2 and pairs[0][0] != pairs[1][0]:
                raise BadInput(f"{where}: 'chosen' and 'rejected' differ before their last message")
        else:
            texts = [_text(row, side, where) for side in self.sides]
            if prompt is None:
                prompt, texts = _common_start(texts, where)
            pairs = [(prompt, text) for text in texts]
        return [
            Response(side, *pair, _token_ids(row, side, where), _finished(row, side, where))
            for side, pair in zip(self.sides, pairs, strict=True)
        ]


def layout_of(row: Mapping[str, Any], where: str) -> Layout:
    """The layout that the first row shows. Raises BadInput."""
    if "chosen" in row or "rejected" in row:
        sides: tuple[str, ...] = ("chosen", "rejected")
    else:
        sides = next(((name,) for name in _SINGLE if name in row), ())
    missing = [side for side in sides if side not in row]
    if not sides or missing:
        raise BadInput(
            f"{where}: no column {missing[0] if missing else 'response'!r} among {', '.join(map(repr, row)) or 'none'};"
            " rows have `prompt` and `response` (or `completion`), or `prompt`, `chosen` and `rejected`"
        )
    conversational = isinstance(row[sides[0]], list)
    has_prompt = row.get("prompt") is not None
    if not has_prompt and len(sides) == 1 and not conversational:
        raise BadInput(f"{where}, column 'prompt': missing; a single response in text form needs one")
    form: Literal["text", "messages"] = "messages" if isinstance(row.get("prompt"), list) else "text"
    layout = Layout(
        "preference" if len(sides) == 2 else "response", sides, conversational, form if has_prompt else None
    )
    taken = [name for name in layout.added(texts=True) if name in row and not name.endswith(IDS)]
    if taken:
        raise BadInput(f"the input has a column {taken[0]!r} already: it is labeled, or needs another name")
    return layout


def _prompt(row: Mapping[str, Any], form: str | None, where: str) -> str | list[dict[str, str]] | None:
    if form is None:
        if row.get("prompt") is not None:
            raise BadInput(f"{where}, column 'prompt': the rows before it had none (mixed formats)")
        return None
    if form == "messages":
        return _messages(row, "prompt", where)
    return _text(row, "prompt", where)


def _text(row: Mapping[str, Any], column: str, where: str) -> str:
    value = row.get(column)
    if not isinstance(value, str):
        raise BadInput(f"{where}, column {column!r}: {_unlike('text', value)}")
    if not value:
        raise BadInput(f"{where}, column {column!r}: empty")
    return _encodable(value, column, where)


def _messages(row: Mapping[str, Any], column: str, where: str) -> list[dict[str, str]]:
    value = row.get(column)
    if not isinstance(value, list):
        raise BadInput(f"{where}, column {column!r}: {_unlike('messages', value)}")
    if not value:
        raise BadInput(f"{where}, column {column!r}: empty")
    messages = []
    for number, message in enumerate(value):
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if not isinstance(role, str) or not isinstance(content, str):
            raise BadInput(f"{where}, column {column!r}: message {number} has no text `role` and `content`")
        messages.append({"role": role, "content": _encodable(content, column, where)})
    return messages


def _token_ids(row: Mapping[str, Any], side: str, where: str) -> tuple[int, ...] | None:
    column = prefix(side) + IDS
    ids = row.get(column)
    if ids is None:
        return None
    if not isinstance(ids, list) or not ids or not all(type(token) is int and 0 <= token < 2**31 for token in ids):
        raise BadInput(f"{where}, column {column!r}: a list of token ids is expected, with at least one")
    return tuple(ids)


def _finished(row: Mapping[str, Any], side: str, where: str) -> bool:
    column = prefix(side) + FINISHED
    finished = row.get(column)
    if finished is not None and not isinstance(finished, bool):
        raise BadInput(f"{where}, column {column!r}: true or false is expected; any other meaning needs another name")
    return finished is not False


def _encodable(text: str, column: str, where: str) -> str:
    """`text`, unless no body could carry it: one such row would have its whole job refused."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{where}, column {column!r}: character {error.start} is half a surrogate pair") from None
    return text


def _last_message(
    row: Mapping[str, Any], side: str, prompt: str | list[dict[str, str]] | None, where: str
) -> tuple[str | list[dict[str, str]], str]:
    """(prompt, response) of a conversational response: its last message, under all that comes before it."""
    *before, last = _messages(row, side, where)
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


def _common_start(texts: Sequence[str], where: str) -> tuple[str, list[str]]:
    """An implicit prompt as TRL's `extract_prompt` takes it: what both begin with, less one trailing space."""
    shared = next((i for i, pair in enumerate(zip(*texts, strict=False)) if len(set(pair)) > 1), min(map(len, texts)))
    if shared and texts[0][shared - 1] == " " and all(len(text) > shared for text in texts):
        shared -= 1
    if not shared:
        raise BadInput(f"{where}, column 'prompt': missing, and 'chosen' and 'rejected' do not begin alike")
    rest = [text[shared:] for text in texts]
    if not all(rest):
        raise BadInput(f"{where}: 'chosen' and 'rejected' leave no response after what both begin with")
    return texts[0][:shared], rest


def _unlike(expected: str, value: object) -> str:
    if value is None:
        return "missing"
    found = "text" if isinstance(value, str) else "messages" if isinstance(value, list) else type(value).__name__
    return f"{found} where {expected} is expected" + (" (mixed formats)" if found in {"text", "messages"} else "")
