"""From a labeled file to tokenized pairs, checked: what is trained on is what was rewarded, token for token."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from tokenreward.chat_format import ChatFormat, Completion, Conversation
from tokenreward.chat_format.chat_format import PromptText
from tokenreward.dataset import read_meta
from tokenreward.dataset.columns import IDS, KEPT, LABELS, TEXTS
from tokenreward.dataset.formats import read_labeled
from tokenreward.dataset.row_layout import Layout, Response, layout_of, score_of
from tokenreward.errors import BadInput
from tokenreward.schema import Item, Provenance
from tokenreward_trainer.data.pair import Pair, Values
from tokenreward_trainer.data.trained_turns import conversation_of, trained_mask, trajectories
from tokenreward_trainer.doubtful import DoubtfulOption

#: float32 rewards are tanh / 2: a reward of exactly 0.5 is right, more is not.
_BOUND = 0.5
_SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Pairs:
    """What a file holds.

    Attributes:
        pairs: The tokenized pairs, in the file's order.
        provenance: How the labels were made; None for an unlabeled file.
        truncated: The number of pairs that were cut to fit.
        skipped: The number of rows without labels because labeling them failed (their `..._token_error` says why).
    """

    pairs: list[Pair]
    provenance: Provenance | None
    truncated: int = 0
    skipped: int = 0


def load_pairs(
    path: str | Path, tokenizer: PreTrainedTokenizerBase, *, max_length: int = 2048, max_prompt_length: int = 1800
) -> Pairs:
    """Reads the pairs of a file that `tokenreward label` wrote, or of one without labels.

    Args:
        path: A .jsonl, .parquet or .arrow file.
        tokenizer: The policy's.
        max_length: The most tokens of prompt and completion; longer pairs are cut.
        max_prompt_length: The most tokens that a cut pair keeps of its prompt.

    Raises:
        BadInput: The file has no usable rows, or labels made with another tokenizer, without provenance, of unequal
            length, not finite or outside [-0.5, 0.5]. The message names the row.
    """
    path = Path(path)
    if not path.exists():
        raise BadInput(f"{path}: no such file; `tokenreward label IN --out {path}` writes one")
    rows = list(read_labeled(path))
    if not rows:
        raise BadInput(f"{path}: there are no rows")
    provenance = _provenance(path)
    found = pairs_of(rows, tokenizer, provenance, str(path), max_length=max_length, max_prompt_length=max_prompt_length)
    if found.skipped:
        warnings.warn(
            f"{path}: {found.skipped} of {len(rows)} rows have an error instead of labels and are left out "
            "(`tokenreward label` says which)",
            DoubtfulOption,
            stacklevel=2,
        )
    if found.truncated > len(found.pairs) // 10:
        warnings.warn(
            f"{path}: {found.truncated} of {len(found.pairs)} pairs are longer than max_length = {max_length} and were "
            "cut: a cut completion has lost its end; consider a larger max_length",
            DoubtfulOption,
            stacklevel=2,
        )
    return found


def pairs_of(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    provenance: Provenance | None,
    name: str = "rows",
    *,
    max_length: int = 2048,
    max_prompt_length: int = 1800,
) -> Pairs:
    """Reads pairs from rows in memory, as `load_pairs` does from a file.

    Args:
        rows: The rows, with `chosen` and `rejected` columns.
        tokenizer: The policy's.
        provenance: How the labels were made; None for rows without labels.
        name: What errors call the rows.
        max_length: See `load_pairs`.
        max_prompt_length: See `load_pairs`.

    Raises:
        BadInput: See `load_pairs`.
    """
    if not 0 < max_prompt_length < max_length:
        raise BadInput(
            f"max_prompt_length = {max_prompt_length} must be above 0 and below max_length = {max_length}, "
            "or nothing is left for the completions"
        )
    chat = ChatFormat.from_pretrained_tokenizer(tokenizer)
    reader = _Reader(chat, provenance, name)
    pairs, truncated, skipped = [], 0, 0
    for number, row in enumerate(rows):
        pair = reader.pair(row, number)
        if pair is None:
            skipped += 1
            continue
        fitted = truncate(pair, max_length, max_prompt_length)
        truncated += fitted is not pair
        pairs.append(fitted)
    if not pairs:
        raise BadInput(f"{name}: no row has labels; its token_error columns say why")
    return Pairs(pairs, provenance, truncated, skipped)


def truncate(pair: Pair, max_length: int, max_prompt_length: int) -> Pair:
    """Cuts a pair whose prompt and longer completion do not fit together.

    Args:
        pair: The pair.
        max_length: The most tokens of prompt and completion.
        max_prompt_length: The most tokens that a cut pair keeps of its prompt.

    Returns:
        The pair itself if both sides fit; else its prompt's end and its completions' beginnings, with their rewards.
    """
    room = max_length - max(len(pair.chosen), len(pair.rejected))
    if len(pair.prompt) <= room:
        return pair
    prompt = pair.prompt[-max_prompt_length:]
    room = max_length - len(prompt)

    def rewards(values: Values | None) -> Values | None:
        return None if values is None else values[:room]

    return replace(
        pair,
        prompt=prompt,
        chosen=pair.chosen[:room],
        rejected=pair.rejected[:room],
        chosen_token_rewards=rewards(pair.chosen_token_rewards),
        rejected_token_rewards=rewards(pair.rejected_token_rewards),
        chosen_mask=None if pair.chosen_mask is None else pair.chosen_mask[:room],
        rejected_mask=None if pair.rejected_mask is None else pair.rejected_mask[:room],
    )


class _Reader:
    """Turns rows into pairs. The first row says how they are laid out, and whether there are labels."""

    def __init__(self, chat: ChatFormat, provenance: Provenance | None, name: str) -> None:
        self._chat = chat
        self._provenance = provenance
        self._name = name
        self._layout: Layout | None = None
        self._labeled = False

    def pair(self, row: Mapping[str, Any], number: int) -> Pair | None:
        """Reads one row; None for a row that could not be labeled."""
        where = f"{self._name}, row {number}"
        added = {f"{side}_{name}" for side in _SIDES for name in (*LABELS, *TEXTS, *KEPT.values())}
        if "chosen_token_rewards" not in row:
            added -= {f"{side}_{IDS}" for side in _SIDES}  # The row's own: what was sampled is what is trained on.
        own = {column: value for column, value in row.items() if column not in added}
        if self._layout is None:
            self._begin(row, own, where)
        assert self._layout is not None
        if self._labeled and any(row.get(f"{side}_token_error") for side in _SIDES):
            return None
        responses = self._layout.responses(own, where)
        rewards: list[Values | None] = [None, None]
        if self._labeled:
            labels = [self._label(row, side, where) for side in _SIDES]
            sides = [self._labeled_side(r, ids, where) for r, (ids, _) in zip(responses, labels, strict=True)]
            rewards = [values for _, values in labels]
        else:
            sides = [self._unlabeled_side(response, where) for response in responses]
        if self._layout.score == "all":
            masks = [trained_mask(row, side, where) for side in _SIDES]
            return trajectories(str(row.get("id", number)), sides, rewards, masks)
        prompt, other = (tuple(side.prompt) for side in sides)
        if prompt != other:
            raise BadInput(
                f"{where}: one response was sampled and the other is text, before which this chat template writes "
                "another prompt; give token ids for both"
            )
        chosen, rejected = (tuple(side.response) for side in sides)
        return Pair(str(row.get("id", number)), prompt, chosen, rejected, rewards[0], rewards[1])

    def _begin(self, row: Mapping[str, Any], own: Mapping[str, Any], where: str) -> None:
        if "token_rewards" in row:
            raise BadInput(f"{where}: labels of single responses; training needs `chosen` and `rejected` pairs")
        self._layout = layout_of(own, where, score_of(row))
        if self._layout.kind != "preference":
            raise BadInput(f"{where}: training needs `chosen` and `rejected` columns")
        self._labeled = "chosen_token_rewards" in row
        if not self._labeled:
            return
        if self._provenance is None:
            raise BadInput(
                f"{self._name}: labels without provenance: nobody can tell which tokenizer they belong to. Keep the "
                ".meta.json file beside JSONL, or label again"
            )
        theirs = self._provenance.fingerprint
        if theirs.tokenizer_hash != self._chat.hash:
            raise BadInput(
                f"{self._name}: labeled with the tokenizer of {theirs.model} ({theirs.tokenizer_hash}), which is not "
                f"the policy's ({self._chat.hash}): rewards would fall on the wrong tokens. Label with a model that "
                "has the policy's tokenizer (usually the policy's own initial model)"
            )

    def _unlabeled_side(self, response: Response, where: str) -> Completion:
        """Prompt and response as a worker would score them."""
        if response.token_ids is not None:
            self._check_ids(response.token_ids, response.side, where)
        item = Item(**response.item())
        self._prompts(item, where)
        try:
            return self._chat.completion(item)
        except BadInput as error:
            raise BadInput(f"{where}, {response.side}: {error}") from None

    def _labeled_side(self, response: Response, ids: list[int], where: str) -> Completion:
        """Prompt and response as a worker has scored them.

        The file does not say whether the ids are those of the text or were sampled. It matters for the prompt, with
        chat templates before whose texts the generation prompt is cut.
        """
        item = Item(**response.item())
        if item.score == "all":
            return conversation_of(self._chat, item, ids, f"{where}, {response.side}")
        sampled, cut = self._prompts(item, where)
        if sampled == cut:
            return Completion(self._chat.ids([sampled])[0], ids, None)
        try:
            written = self._chat.completion(item)
        except BadInput:  # a text that the chat template does not write has come with its ids
            written = None
        if written is not None and written.response == ids:
            return written
        return Completion(self._chat.ids([sampled])[0], ids, None)

    def _prompts(self, item: Item, where: str) -> tuple[PromptText, PromptText]:
        """The prompt of a sampled response, and that of a response that came as text."""
        try:
            conversation = Conversation.of_item(item)
            return self._chat.prompt(conversation), self._chat.prompt(conversation, answered=True)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None

    def _check_ids(self, ids: Sequence[int], side: str, where: str) -> None:
        vocabulary = self._chat.tokenizer.vocabulary
        outside = next((token for token in ids if not 0 <= token < vocabulary), None)
        if outside is not None:
            raise BadInput(f"{where}: {side}_token_ids has {outside}, the vocabulary has {vocabulary}")

    def _label(self, row: Mapping[str, Any], side: str, where: str) -> tuple[list[int], Values]:
        ids, rewards = row.get(f"{side}_token_ids"), row.get(f"{side}_token_rewards")
        if not ids or rewards is None:
            raise BadInput(f"{where}: no {side}_token_ids and {side}_token_rewards, and no error that says why")
        values: Values = np.asarray(rewards, dtype=np.float32)
        if len(ids) != len(values):
            raise BadInput(f"{where}: {len(ids)} {side}_token_ids but {len(values)} {side}_token_rewards")
        if not np.isfinite(values).all():
            raise BadInput(f"{where}: {side}_token_rewards has a value that is not finite")
        if np.abs(values).max() > _BOUND:
            worst = float(values[np.abs(values).argmax()])
            raise BadInput(f"{where}: {side}_token_rewards has {worst:g}; token rewards lie in [-0.5, 0.5]")
        self._check_ids(ids, side, where)
        return list(ids), values


def _provenance(path: Path) -> Provenance | None:
    meta = read_meta(path)
    if meta is None or "ranking" in meta:  # Pairs that `tokenreward rank` wrote have no labels.
        return None
    try:
        return Provenance.model_validate(meta.get("provenance") or meta)
    except ValueError as error:
        raise BadInput(f"{path}: its provenance cannot be read: {error}") from None
