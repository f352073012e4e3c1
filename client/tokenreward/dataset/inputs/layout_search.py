"""Finding the layout of an input: the first of its rows that can be read shows it."""

from __future__ import annotations

from tokenreward.dataset.base import Source, Unreadable
from tokenreward.dataset.row_layout import Layout, layout_of
from tokenreward.errors import BadInput
from tokenreward.schema import Score

#: How many rows are looked at for one that can be read.
_LOOKED_AT = 64


def layout_in(source: Source, score: Score = "last") -> Layout:
    """Return the layout of an input.

    Args:
        source: The input.
        score: Which turns of a conversation are scored.

    Raises:
        BadInput: There are no rows, or none of the first ones has a layout that is known.
    """
    layout: Layout | None = None
    trouble: BadInput | None = None
    for number, row in enumerate(source.preview(_LOOKED_AT)):
        try:
            if isinstance(row, Unreadable):
                raise row
            layout = layout_of(row, source.where(number), score)
            layout.responses(row, source.where(number))
        except BadInput as error:
            trouble = trouble or error
        else:
            return layout
    if layout is None and trouble is not None:
        raise trouble
    assert layout is not None
    return layout  # of a row that is bad, as all of them are; each is told so when the file is read
