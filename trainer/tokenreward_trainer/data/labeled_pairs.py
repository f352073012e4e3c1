"""From a labeled file to tokenized pairs, checked: what is trained on is what was rewarded, token for token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
from tokenreward_trainer.data.own_tokenizer import own_hashes
from tokenreward_trainer.data.pair import Pair, Values
from tokenreward_trainer.data.row_checks import RowChecks, RowCounts, warn_of
from tokenreward_trainer.data.trained_turns import conversation_of, trained_mask, trajectories

#: float32 rewards are tanh / 2: a reward of exactly 0.5 is right, more is not.
_BOUND = 0.5
_SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Pairs:
    """What a file holds.

    Attributes:
        pairs: The tokenized pairs, in the file's order.
        provenance: How the labels were made; None for an unlabeled file.
        counts: What the rows have that is rarely meant: cut, left out, swapped.
    """

    pairs: list[Pair]
    provenance: Provenance | None
    counts: RowCounts = field(default_factory=RowCounts)

    @property
    def truncated(self) -> int:
        """The number of pairs that were cut to fit."""
        return self.counts.truncated

    @property
    def skipped(self) -> int:
        """The number of rows that were left out because labeling them failed."""
        return self.counts.skipped


def load_pairs(
    path: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int = 2048,
    max_prompt_length: int = 1800,
    vocabulary: int | None = None,
    squash: bool = False,
) -> Pairs:
    """Reads the pairs of a file that `tokenreward label` wrote, or of one without labels.

    Args:
        path: A .jsonl, .parquet or .arrow file.
        tokenizer: The policy's.
        max_length: The most tokens of prompt and completion; longer pairs are cut.
        max_prompt_length: The most tokens that a cut pair keeps of its prompt.
        vocabulary: The rows of the policy's embedding, which may be more than its tokenizer has. A row with an id
            beyond them is left out and counted. None leaves that to `PreferenceTrainer`, which knows the policy.
        squash: Take tanh(r / 2) / 2 of labels of an unbounded estimator, as T-REG does (eq. 3). Without it, such
            labels are refused.

    Raises:
        BadInput: The file has no usable rows, or labels made with another tokenizer or chat template, without
            provenance, of unequal length, not finite or outside [-0.5, 0.5]. The message names the row.
    """
    path = Path(path)
    if not path.exists():
        raise BadInput(f"{path}: no such file; `tokenreward label IN --out {path}` writes one")
    rows = list(read_labeled(path))
    if not rows:
        raise BadInput(f"{path}: there are no rows")
    provenance = _provenance(path)
    limits: dict[str, Any] = {"max_length": max_length, "max_prompt_length": max_prompt_length}
    found = pairs_of(rows, tokenizer, provenance, str(path), **limits, vocabulary=vocabulary, squash=squash)
    warn_of(found.counts, len(rows), str(path), max_length)
    return found


def pairs_of(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    provenance: Provenance | None,
    name: str = "rows",
    *,
    max_length: int = 2048,
    max_prompt_length: int = 1800,
    vocabulary: int | None = None,
    squash: bool = False,
) -> Pairs:
    """Reads pairs from rows in memory, as `load_pairs` does from a file.

    Args:
        rows: The rows, with `chosen` and `rejected` columns.
        tokenizer: The policy's.
        provenance: How the labels were made; None for rows without labels.
        name: What errors call the rows.
        max_length: See `load_pairs`.
        max_prompt_length: See `load_pairs`.
        vocabulary: See `load_pairs`.
        squash: See `load_pairs`.

    Raises:
        BadInput: See `load_pairs`.
    """
    if not 0 < max_prompt_length < max_length:
        raise BadInput(
            f"max_prompt_length = {max_prompt_length} must be above 0 and below max_length = {max_length}, "
            "or nothing is left for the completions"
        )
    chat = ChatFormat.from_pretrained_tokenizer(tokenizer)
    counts = RowCounts()
    reader = _Reader(chat, provenance, name, own_hashes(tokenizer), RowChecks(chat, counts), squash=squash)
    pairs = []
    for number, row in enumerate(rows):
        pair = reader.pair(row, number)
        if pair is None:
            counts.skipped += 1
            continue
        if vocabulary is not None and not pair.within(vocabulary):
            counts.outside += 1
            continue
        fitted = truncate(pair, max_length, max_prompt_length)
        counts.truncated += fitted is not pair
        counts.prompts_cut += len(fitted.prompt) < len(pair.prompt)
        pairs.append(fitted)
    if not pairs and counts.outside:
        raise BadInput(f"{name}: every row has a token id beyond the model's vocabulary of {vocabulary}")
    if not pairs:
        raise BadInput(f"{name}: no row has labels; its token_error columns say why")
    return Pairs(pairs, provenance, counts)


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

    def __init__(
        self,
        chat: ChatFormat,
        provenance: Provenance | None,
        name: str,
        hashes: set[str],
        checks: RowChecks,
        *,
        squash: bool,
    ) -> None:
        self._chat = chat
        self._provenance = provenance
        self._name = name
        self._hashes = hashes
        self._checks = checks
        self._squash = squash and provenance is not None and provenance.unbounded
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
        texts = [response.text for response in responses]
        if self._layout.score == "all":
            self._checks.check(row, texts, [side.response for side in sides], written=True)
            masks = [trained_mask(row, side, where) for side in _SIDES]
            return trajectories(str(row.get("id", number)), sides, rewards, masks)
        prompt, other = (tuple(side.prompt) for side in sides)
        if prompt != other:
            raise BadInput(
                f"{where}: one response was sampled and the other is text, before which this chat template writes "
                "another prompt; give token ids for both"
            )
        chosen, rejected = (tuple(side.response) for side in sides)
        self._checks.check(row, texts, [chosen, rejected])
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
        if self._provenance.unbounded and not self._squash:
            raise BadInput(
                f"{self._name}: labels of estimator {self._provenance.estimator!r} are unbounded, and token rewards "
                "lie in [-0.5, 0.5]: set data.squash = true to take tanh(r / 2) / 2 of them, or label with another "
                "estimator"
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

    def _unlabeled_side(self, response: Response, where: str) -> Completion:
        """Prompt and response as a worker would score them."""
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

    def _label(self, row: Mapping[str, Any], side: str, where: str) -> tuple[list[int], Values]:
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


def _provenance(path: Path) -> Provenance | None:
    meta = read_meta(path)
    if meta is None or "ranking" in meta:  # Pairs that `tokenreward rank` wrote have no labels.
        return None
    try:
        return Provenance.model_validate(meta.get("provenance") or meta)
    except ValueError as error:
        raise BadInput(f"{path}: its provenance cannot be read: {error}") from None
