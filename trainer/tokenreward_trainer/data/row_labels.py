"""The labels of a file: whether they belong to the policy at all, and those of each row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tokenreward.chat_format import ChatFormat
from tokenreward.dataset import read_meta
from tokenreward.errors import BadInput
from tokenreward.schema import Provenance
from tokenreward_trainer.data.pair import Values

#: float32 rewards are tanh / 2: a reward of exactly 0.5 is right, more is not.
_BOUND = 0.5


class RowLabels:
    """Reads labels that the service made.

    Args:
        name: What errors call the file.
        provenance: How the labels were made.
        chat: The policy's chat format.
        hashes: Hashes of tokenizers that give the policy's ids.
        squash: Take tanh(r / 2) / 2 of unbounded labels.
        scored_by: What must have scored some branch, `name@version` each.
    """

    def __init__(
        self,
        name: str,
        provenance: Provenance | None,
        chat: ChatFormat,
        hashes: set[str],
        *,
        squash: bool,
        scored_by: Collection[str] = (),
    ) -> None:
        self._name = name
        self._provenance = provenance
        self._chat = chat
        self._hashes = hashes
        self._scored_by = scored_by
        self._squash = squash and provenance is not None and provenance.unbounded

    def check(self) -> None:
        """Checks that the labels can be trained on: see `check_tokens`, by the models asked for, and bounded.

        Raises:
            BadInput: They are not.
        """
        self.check_tokens()
        assert self._provenance is not None
        if self._provenance.unbounded and not self._squash:
            raise BadInput(
                f"{self._name}: labels of estimator {self._provenance.estimator!r} are unbounded, and token rewards "
                "lie in [-0.5, 0.5]: set data.squash = true to take tanh(r / 2) / 2 of them, or label with another "
                "estimator"
            )
        self._check_scored_by(self._provenance)

    def check_tokens(self) -> None:
        """Checks that the labels are of the policy's tokens and of its conversations.

        Raises:
            BadInput: They are not, or nobody knows where they come from.
        """
        if self._provenance is None:
            raise BadInput(
                f"{self._name}: labels without provenance: nobody can tell which tokenizer they belong to. Keep the "
                ".meta.json file beside JSONL, or label again"
            )
        theirs = self._provenance.fingerprint
        if theirs.tokenizer_hash not in self._hashes:
            raise BadInput(
                f"{self._name}: labeled with the tokenizer of {theirs.model} ({theirs.tokenizer_hash}), which is not "
                f"the policy's ({self._chat.hash}): rewards would fall on the wrong tokens. Label with a model that "
                "has the policy's tokenizer (usually the policy's own initial model)"
            )
        # Workers of an older version give none.
        if theirs.chat_template_hash not in (None, self._chat.template_hash):
            raise BadInput(
                f"{self._name}: labeled under the chat template of {theirs.model} ({theirs.chat_template_hash}), which "
                f"is not the policy's ({self._chat.template_hash}): the rewards are of other conversations. Label "
                "again with a model that has the policy's chat template and special tokens, or give the policy the "
                "template that the labels were made under"
            )

    def _check_scored_by(self, provenance: Provenance) -> None:
        scored = [use.name for use in provenance.models]
        missing = next((wanted for wanted in self._scored_by if wanted not in scored), None)
        if missing is not None:
            raise BadInput(
                f"{self._name}: labeled by {', '.join(scored) or provenance.fingerprint.model}, and the labels of "
                f"{missing} were asked for: they are of another policy than the one that is trained; label again with "
                "that version"
            )

    def of(self, row: Mapping[str, Any], side: str, where: str) -> tuple[list[int], Values]:
        """Returns the ids and rewards of one side of a row.

        Raises:
            BadInput: They are missing, of unequal length, not finite or outside [-0.5, 0.5].
        """
        ids, rewards = row.get(f"{side}_token_ids"), row.get(f"{side}_token_rewards")
        if not ids or rewards is None:
            raise BadInput(f"{where}: no {side}_token_ids and {side}_token_rewards, and no error that says why")
        if not all(type(token) is int and 0 <= token < 2**31 for token in ids):
            raise BadInput(f"{where}: {side}_token_ids has something that is no token id")
        values: Values = np.asarray(rewards, dtype=np.float32)
        if len(ids) != len(values):
            raise BadInput(f"{where}: {len(ids)} {side}_token_ids but {len(values)} {side}_token_rewards")
        if not np.isfinite(values).all():
            raise BadInput(f"{where}: {side}_token_rewards has a value that is not finite")
        if self._squash:
            return list(ids), (np.tanh(values / 2) / 2).astype(np.float32)
        if np.abs(values).max() > _BOUND:
            worst = float(values[np.abs(values).argmax()])
            raise BadInput(f"{where}: {side}_token_rewards has {worst:g}; token rewards lie in [-0.5, 0.5]")
        return list(ids), values


def provenance_of(path: Path) -> Provenance | None:
    """Returns how a file was labeled; None if it was not.

    Raises:
        BadInput: Its provenance cannot be read.
    """
    meta = read_meta(path)
    if meta is None or "ranking" in meta:  # Pairs that `tokenreward rank` wrote have no labels.
        return None
    try:
        return Provenance.model_validate(meta.get("provenance") or meta)
    except ValueError as error:
        raise BadInput(f"{path}: its provenance cannot be read: {error}") from None
