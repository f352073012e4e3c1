"""Rows as vLLM's wires write them: `prompt_logprobs`, one object for each token of a prompt.

They are written as text, sequence by sequence: with K alternatives a token they are nearly all of an answer, and as
objects they would fill the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from tokenreward_service.wires.sequence_scoring import ScoredSequence


def prompt_logprobs(scored: ScoredSequence) -> bytes:
    """Write the rows of a sequence as JSON: null before the first one, then `{id: {logprob, rank, decoded_token}}`.

    As vLLM writes them, the given token comes first and the likeliest ones follow. Its rank is its place among them. If
    it is none of them, its rank is one more than there are, and may be lower; without any, its rank is not known.
    """
    rows = ["null"] * scored.start
    given = scored.ids[scored.start :]
    logprobs, top = scored.rows.logprobs.tolist(), scored.rows.top
    if top is None:
        rows += [f"{{{_entry(token, logprob, 'null')}}}" for token, logprob in zip(given, logprobs, strict=True)]
    else:
        for token, logprob, ids, values in zip(given, logprobs, top.ids.tolist(), top.logprobs.tolist(), strict=True):
            rank = ids.index(token) + 1 if token in ids else len(ids) + 1
            others = [_entry(*one) for one in zip(ids, values, range(1, len(ids) + 1), strict=True) if one[0] != token]
            rows.append("{" + ",".join([_entry(token, logprob, rank), *others]) + "}")
    return f"[{','.join(rows)}]".encode()


def with_field(fields: Mapping[str, Any], name: str, value: bytes) -> bytes:
    """Write an object as JSON, with one more field whose JSON is there already."""
    return to_json(fields)[:-1] + f',"{name}":'.encode() + value + b"}"


def _entry(token: int, logprob: float, rank: int | str) -> str:
    return f'"{token}":{{"logprob":{logprob:.9g},"rank":{rank},"decoded_token":null}}'
