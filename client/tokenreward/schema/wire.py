"""The bases of all wire models: frozen, strict about what is sent, lenient about what comes back."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """The base of what is sent. A field that the schema does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AnswerModel(WireModel):
    """The base of what comes back. Fields that a newer version added are ignored."""

    # Unknown fields are those of a newer version, whose records and answers an older one meets in an upgrade.
    model_config = ConfigDict(extra="ignore")
