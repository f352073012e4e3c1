"""An item that came as token ids, prompt and response: what the teacher wires put into the queue.

It is no part of the public schema. Who labels responses has a conversation, and the chat format decides on its ids; who
asks a teacher has the ids already, and wants them scored untouched.
"""

from __future__ import annotations

from pydantic import Field

from tokenreward.protocol.records import Record
from tokenreward.schema.candidates import NamedIds


class IdsItem(Record):
    """One sequence of token ids, cut where its scored part begins.

    Attributes:
        prompt_ids: int `[P]`, at least one: what stands before. Every branch of the job's template has it as its
            prompt.
        token_ids: int `[T]`, at least one: the ids to score.
        named_ids: As an Item's: int `[N]` for the same ids at each token, or int `[T, N]`.
        id: A name that comes back with the result.
    """

    prompt_ids: list[int] = Field(min_length=1)
    token_ids: list[int] = Field(min_length=1)
    named_ids: NamedIds | None = None
    id: str | None = None
