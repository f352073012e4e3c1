"""The options of `tokenreward train-labeler`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["classifier", "corrector"]


class LabelerSettings(BaseModel):
    """How a labeler is trained.

    Attributes:
        corruptions: How many edits are made of the better texts of the data, by putting errors in.
        made: How many edits are made by rule besides: worked sums, and small facts.
        least_kept: Edits that keep less of both texts are left out: they are other texts, not edits.
        epochs: How often the data are read.
        batch: Examples of a step.
        learning_rate: Its highest value.
        layers: Of a classifier: how many of the last layers are trained; the others stay as they are.
        max_tokens: Longer examples are left out.
        seed: Of corruptions, made edits and their order.
    """

    model_config = ConfigDict(extra="forbid")

    corruptions: int = Field(default=0, ge=0)
    made: int = Field(default=0, ge=0)
    least_kept: float = Field(default=0.4, ge=0, le=1)
    epochs: float = Field(default=2.0, gt=0)
    batch: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    layers: int = Field(default=4, ge=0)
    max_tokens: int = Field(default=1024, ge=16)
    seed: int = Field(default=0, ge=0)
