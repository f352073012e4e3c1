"""Which characters of a response each of its tokens is: right for bytes, emoji, combining marks and CJK.

A token that holds only some bytes of a character covers that whole character; a control token covers
nothing and stands where it stands.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

from tokenreward.chat_format.byte_level import byte_level_table
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer


def pieces(
    tokenizer: ChatTokenizer, ids: Sequence[int], text: str, before: int = 0
) -> tuple[list[str], list[tuple[int, int]]]:
    """Each token's own text, and the characters of `text` that it stands for.

    Args:
        tokenizer: The tokenizer of `ids`.
        ids: A response's token ids.
        text: What the ids say, control tokens left out.
        before: How many characters the ids say in front of `text`. They may also say any number behind it. Both are
            what a chat template adds, and no span covers them.

    Returns:
        The text of each token, and its `[start, end)` in characters of `text`.
    """
    parts = [_bytes(tokenizer, token_id) for token_id in ids]
    names = [
        tokenizer.token(token_id) if tokenizer.is_control(token_id) else part.decode("utf-8", "replace")
        for token_id, part in zip(ids, parts, strict=True)
    ]
    said = b"".join(parts).decode("utf-8", "replace")
    # A tokenizer may add or swallow a blank at the start of a text.
    shifts = [shift for shift in (before, before + 1, before - 1) if shift >= 0 and said[shift:].startswith(text)]
    if shifts:
        before = shifts[0]
        spans = _spans([len(part) for part in parts], said)
    elif aligned := _aligned_spans(tokenizer, ids, text):  # a normaliser changed the text
        return names, aligned
    else:  # other ids than the tokenizer's own for this text: by what they say, one prefix at a time
        spans = _decoded_spans(tokenizer, ids)
    length = len(text)
    return names, [(_clip(start - before, length), _clip(end - before, length)) for start, end in spans]


def _clip(position: int, length: int) -> int:
    return min(max(position, 0), length)


def _spans(lengths: Sequence[int], said: str) -> list[tuple[int, int]]:
    """The characters of `said` that each of its consecutive parts touches, given their lengths in bytes."""
    starts = list(accumulate((len(c.encode("utf-8")) for c in said), initial=0))  # byte where each character starts
    spans, at = [], 0
    for length in lengths:
        first = bisect_right(starts, at) - 1
        last = bisect_right(starts, at + length - 1) if length else first
        spans.append((first, last))
        at += length
    return spans


def _aligned_spans(tokenizer: ChatTokenizer, ids: Sequence[int], text: str) -> list[tuple[int, int]] | None:
    """The spans by the tokenizer's own record of what its normaliser did; None if it cuts `text` into other ids.

    A character that the normaliser left out, or joined to the one before it (a combining mark), belongs to the token
    before.
    """
    for lead in (tokenizer.anchor, "", "\n"):
        own, places = tokenizer.located(lead, text)
        if not own or tuple(ids[: len(own)]) != own:
            continue
        spans = list(places)
        following = len(text)
        for n in range(len(spans) - 1, -1, -1):
            start, end = spans[n]
            spans[n] = (start, max(end, following))
            if n and spans[n - 1][0] < start:
                following = start
        return spans + [(len(text), len(text))] * (len(ids) - len(own))
    return None


def _decoded_spans(tokenizer: ChatTokenizer, ids: Sequence[int]) -> list[tuple[int, int]]:
    """The spans by decoding every prefix, which is right for any decoder and quadratic in the length."""
    said = [tokenizer.decode(ids[: n + 1]) for n in range(len(ids))]
    ends = [len(text.rstrip("\ufffd")) for text in said]
    spans = [(start, max(start, end)) for start, end in zip([0, *ends], ends, strict=False)]
    for n in range(len(spans) - 2, -1, -1):  # part of a character covers the character that its last part completes
        if spans[n][0] == spans[n][1] and said[n].endswith("\ufffd"):
            spans[n] = (spans[n][0], max(spans[n][1], spans[n + 1][1]))
    return spans


def _bytes(tokenizer: ChatTokenizer, token_id: int) -> bytes:
    """What a token says, in UTF-8; a control token says nothing."""
    if tokenizer.is_control(token_id):
        return b""
    entry = tokenizer.token(token_id)
    if _is_byte_level(tokenizer.decoder):
        table = byte_level_table()
        if all(character in table for character in entry):
            return bytes(table[character] for character in entry)
        return entry.encode("utf-8")
    if len(entry) == 6 and entry.startswith("<0x") and entry.endswith(">"):
        return bytes([int(entry[3:5], 16)])
    return entry.replace("\u2581", " ").encode("utf-8", "surrogatepass")


@cache
def _is_byte_level(decoder: str) -> bool:
    content = json.loads(decoder) or {}
    return any(part.get("type") == "ByteLevel" for part in [content, *content.get("decoders", [])])
