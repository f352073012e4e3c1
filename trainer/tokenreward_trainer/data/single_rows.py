"""Rows with one response, which SFT trains on: a prompt and its response, or a whole conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tokenreward.dataset.columns import IDS, KEPT, LABELS, TEXTS, TURNS
from tokenreward.dataset.row_layout import Layout, layout_of, score_of
from tokenreward.errors import BadInput
from tokenreward.schema import Score
from tokenreward_trainer.data.pair import Mask, Pair
from tokenreward_trainer.data.pair_sides import PairSides
from tokenreward_trainer.data.row_labels import RowLabels


class SingleRows:
    """Turns rows into single responses. The first row says how they are laid out.

    Of a conversation in a column `messages`, every turn of the assistant is trained on; of other rows the response.
    In a labeled file the labels' ids are the response, as in pairs.

    Args:
        name: What errors call the rows.
        sides: Makes ids of responses.
        labels: Checks whether a labeled file's ids are the policy's.
    """

    def __init__(self, name: str, sides: PairSides, labels: RowLabels) -> None:
        self._name = name
        self._sides = sides
        self._labels = labels
        self._layout: Layout | None = None
        self._labeled = False

    def pair(self, row: Mapping[str, Any], number: int) -> Pair | None:
        """Reads one row; None for a row that could not be labeled.

        Raises:
            BadInput: The row has no response, or its ids cannot be used.
        """
        where = f"{self._name}, row {number}"
        if self._layout is None:
            self._labeled = "token_rewards" in row
            if self._labeled:
                self._labels.check_tokens()
        if self._labeled and row.get("token_error"):
            return None
        added = {*LABELS, *TEXTS, *KEPT.values()} - (set() if self._labeled else {IDS})
        own = {column: value for column, value in row.items() if column not in added}
        if self._layout is None:
            turns: Score = "all" if isinstance(own.get("messages"), list) and not self._labeled else score_of(row)
            self._layout = layout_of(own, where, turns)
        (response,) = self._layout.responses(own, where)
        if self._labeled:
            ids = _ids_of(row, where)
            said, places = self._sides.labeled(response, ids, where), row.get(TURNS)
        else:
            said = self._sides.unlabeled(response, where)
            places = said.turns
        return Pair(
            str(row.get("id", number)), tuple(said.prompt), tuple(said.response), (), chosen_mask=_mask(places, where)
        )


def _ids_of(row: Mapping[str, Any], where: str) -> list[int]:
    ids = row.get(IDS)
    if not isinstance(ids, list) or not ids or not all(type(token) is int and 0 <= token < 2**31 for token in ids):
        raise BadInput(f"{where}: no {IDS}, or something in it that is no token id, and no error that says why")
    return ids


def _mask(turns: list[int] | None, where: str) -> Mask | None:
    """True on the assistant's tokens; None where all of them are."""
    if turns is None:
        return None
    mask: Mask = np.asarray(turns) >= 0
    if not mask.any():
        raise BadInput(f"{where}: no turn of the assistant, so there is nothing to train on")
    return mask
