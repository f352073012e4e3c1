"""What service and workers say of adapters: the versions there are, and the order to look at a new one.

Only a worker can read an adapter's files, so the service hands the order to one of them and waits for its answer.
"""

from __future__ import annotations

from uuid import uuid4

from pydantic import Field

from tokenreward.protocol.records import Record


class AdapterRecord(Record):
    """One version of an adapter, which jobs may name.

    Attributes:
        name: The name that clients ask for.
        version: The hash of its content.
        model: The name of the model that it was put for.
        source: Where it was read.
        rank: The largest rank of its layers; None if nobody looked.
        base: The model that it says it was trained on.
        since: When it was put last, in Unix seconds.
    """

    name: str
    version: str
    model: str
    source: str
    rank: int | None = None
    base: str = ""
    since: float

    @property
    def field(self) -> str:
        """Its field in the hash of the model's adapters."""
        return f"{self.name}@{self.version}"


class AdapterOrder(Record):
    """The order to read an adapter, and to make it known.

    Attributes:
        id: Names the list that the answer goes to.
        name: What the adapter is to be called.
        source: Where its files are.
    """

    id: str = Field(default_factory=lambda: uuid4().hex)
    name: str
    source: str


class AdapterAnswer(Record):
    """What became of an order.

    Attributes:
        record: The version that is known now.
        refusal: Why there is none.
    """

    record: AdapterRecord | None = None
    refusal: str = ""
