"""What a job's items are from, for people who look for it later."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tokenreward.schema.wire import WireModel


class Origin(WireModel):
    """What a job's items are from. Nothing of it changes a reward.

    Attributes:
        name: What lists of jobs call it, such as the name of the file that was labeled.
        run: Jobs with the same run are parts of one labeling. Once they are emptied, their records become one.
        sides: Which response of a row each item is, where every row has the same number of them: `["chosen",
            "rejected"]` says that the items come in pairs.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    run: Annotated[str, Field(pattern="^[0-9A-Za-z_-]{1,64}$")] | None = None
    sides: Annotated[list[Annotated[str, Field(min_length=1, max_length=32)]], Field(max_length=16)] = Field(default=[])
