"""What an audit found about one kind of labels, as `tokenreward audit` leaves it with the service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tokenreward.schema.wire import AnswerModel, WireModel

_Hash = Annotated[str, Field(min_length=1, max_length=128)]
_Name = Annotated[str, Field(min_length=1, max_length=64)]


class AuditVerdict(AnswerModel):
    """The verdict of the last audit on one label of one set-up.

    Attributes:
        fingerprint_digest: The set-up that scored.
        template: The template's name.
        template_hash: The template's hash.
        estimator: The estimator's name.
        estimator_hash: The estimator's hash.
        pool: What rewards were pooled over and how, as in `word:mean`; None if they were not.
        advice: Whether to train on these labels: `no`, `doubtful`, `yes`, or `unknown` if there were too few responses.
        words: The same in a sentence.
        responses: How many responses were scored.
    """

    fingerprint_digest: _Hash
    template: _Name
    template_hash: _Hash
    estimator: _Name
    estimator_hash: _Hash
    pool: Annotated[str, Field(max_length=32)] | None = None
    advice: Literal["no", "doubtful", "yes", "unknown"]
    words: Annotated[str, Field(min_length=1, max_length=500)]
    responses: Annotated[int, Field(ge=0, strict=True)]


class AuditVerdicts(WireModel):
    """The JSON body of `PUT /v1/audits`: what one audit found.

    Attributes:
        audits: A verdict for each label.
    """

    audits: Annotated[list[AuditVerdict], Field(min_length=1, max_length=200)]
