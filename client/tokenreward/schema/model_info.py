"""A model as the service lists it."""

from __future__ import annotations

from pydantic import Field

from tokenreward.schema.options import Include
from tokenreward.schema.provenance import Fingerprint
from tokenreward.schema.wire import AnswerModel


class ModelInfo(AnswerModel):
    """A model that some worker serves or has served.

    Attributes:
        name: The name that clients ask for.
        fingerprint: The workers' set-up.
        fingerprint_digest: Its hash, for `name@fingerprint`.
        workers: How many workers serve it now. 0 if none does any more.
        max_tokens: The most tokens of prompt and response together.
        lacks: What its workers cannot give of what `include` names.
    """

    name: str
    fingerprint: Fingerprint
    fingerprint_digest: str
    workers: int
    max_tokens: int
    lacks: list[Include] = Field(default=[])
