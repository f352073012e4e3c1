"""Adapters of a served model, as they are put and listed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tokenreward.schema.wire import AnswerModel, WireModel

#: What an adapter may be called. `@` comes before its version.
ADAPTER_NAME = r"^[A-Za-z0-9_.-]{1,64}$"


class AdapterSource(WireModel):
    """The body of `PUT /v1/models/{model}/adapters/{name}`.

    Attributes:
        source: A folder with adapter_config.json and adapter_model.safetensors, by its path on the workers' hosts; or
            its name on the Hugging Face hub.
    """

    source: Annotated[str, Field(min_length=1, max_length=1024)]


class AdapterInfo(AnswerModel):
    """One version of an adapter.

    Attributes:
        name: The name that clients ask for.
        version: The hash of its content. `name@version` means this one, `name` the one that was put last.
        model: The model that it was put for.
        source: Where it was read.
        rank: The largest rank of its layers; None with the engine `synthetic`, which does not look.
        base: The model that it says it was trained on.
        since: When it was put last, in Unix seconds.
        workers: Ids of the workers whose engine holds it now.
    """

    name: str
    version: str
    model: str
    source: str
    rank: int | None = None
    base: str = ""
    since: float
    workers: list[str] = Field(default=[])
