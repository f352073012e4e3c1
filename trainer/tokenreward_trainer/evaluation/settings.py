"""How checkpoints answer when they are compared."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tokenreward_trainer.sampling.settings import Positive, Sampling


class Answering(Sampling):
    """Sampling with other defaults: one answer to each prompt, of the likeliest tokens, so that a rerun repeats it.

    With n > 1 and a temperature, a prompt's value is the mean over its answers, which narrows the intervals.
    """

    n: Positive = 1
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Positive = 2048
