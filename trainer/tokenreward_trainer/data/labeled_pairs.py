"""From a labeled file to tokenized pairs, checked: what is trained on is what was rewarded, token for token."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from tokenreward.audit.set_files import spans_of
from tokenreward.chat_format import ChatFormat
from tokenreward.dataset.columns import IDS, KEPT, LABELS, TEXTS
from tokenreward.dataset.formats import read_labeled
from tokenreward.dataset.row_layout import Layout, Response, layout_of, score_of
from tokenreward.errors import BadInput
from tokenreward.schema import Provenance
from tokenreward_trainer.data.own_tokenizer import own_hashes
from tokenreward_trainer.data.pair import Pair, Spans, Values
from tokenreward_trainer.data.pair_sides import PairSides
from tokenreward_trainer.data.row_checks import RowChecks, RowCounts, warn_of
from tokenreward_trainer.data.row_labels import RowLabels, provenance_of
from tokenreward_trainer.data.single_rows import SingleRows
from tokenreward_trainer.data.teacher_scores import teacher_scores
from tokenreward_trainer.data.trained_turns import trained_mask, trajectories
from tokenreward_trainer.data.truncation import truncate

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
    scored_by: Collection[str] = (),
    single: bool = False,
    teacher: bool = False,
    columns: Mapping[str, str] | None = None,
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
        scored_by: What must have scored some branch, `name@version` each, such as the adapter that was put for this
            step. Labels by another version are refused.
        single: Take rows with one response too (`response`, `completion` or `messages`), which SFT trains on.
        teacher: Read a teacher's log-probs of the chosen or only response too, which distillation trains on.
        columns: The names that `prompt`, `chosen` and `rejected` have in the file, where they are other ones.

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
    if columns:
        rows = [_renamed(row, columns, f"{path}, row {number}") for number, row in enumerate(rows)]
    provenance = provenance_of(path)
    options: dict[str, Any] = {"max_length": max_length, "max_prompt_length": max_prompt_length}
    options |= {"vocabulary": vocabulary, "squash": squash, "scored_by": scored_by}
    found = pairs_of(rows, tokenizer, provenance, str(path), single=single, teacher=teacher, **options)
    warn_of(found.counts, len(rows), str(path), max_length)
    return found


def _renamed(row: Mapping[str, Any], columns: Mapping[str, str], where: str) -> dict[str, Any]:
    """The row with its columns under the names that they have here, in place of what stood there."""
    if missing := sorted(set(columns.values()) - row.keys()):
        raise BadInput(f"{where}: no column {', '.join(missing)}, which `columns` names; there are {', '.join(row)}")
    rest = {name: value for name, value in row.items() if name not in columns.values() and name not in columns}
    return {ours: row[theirs] for ours, theirs in columns.items()} | rest


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
    scored_by: Collection[str] = (),
    single: bool = False,
    teacher: bool = False,
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
        scored_by: See `load_pairs`.
        single: See `load_pairs`.
        teacher: See `load_pairs`.

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
    labels = RowLabels(name, provenance, chat, own_hashes(tokenizer), squash=squash, scored_by=scored_by)
    sides = PairSides(chat)
    reader, alone = _Reader(name, sides, labels, RowChecks(chat, counts)), SingleRows(name, sides, labels)
    pairs = []
    for number, row in enumerate(rows):
        pair = (alone if single and "chosen" not in row else reader).pair(row, number)
        if pair is None:
            counts.skipped += 1
            continue
        if vocabulary is not None and not pair.within(vocabulary):
            counts.outside += 1
            continue
        if teacher:
            side = "chosen" if "chosen" in row else "response"
            pair = replace(pair, teacher=teacher_scores(row, side, len(pair.chosen), f"{name}, row {number}"))
        fitted = truncate(pair, max_length, max_prompt_length)
        counts.truncated += fitted is not pair
        counts.prompts_cut += len(fitted.prompt) < len(pair.prompt)
        pairs.append(fitted)
    if not pairs and counts.outside:
        raise BadInput(f"{name}: every row has a token id beyond the model's vocabulary of {vocabulary}")
    if not pairs:
        raise BadInput(f"{name}: no row has labels; its token_error columns say why")
    return Pairs(pairs, provenance, counts)


class _Reader:
    """Turns rows into pairs. The first row says how they are laid out, and whether there are labels."""

    def __init__(
        self,
        name: str,
        sides: PairSides,
        labels: RowLabels,
        checks: RowChecks,
    ) -> None:
        self._name = name
        self._sides = sides
        self._labels = labels
        self._checks = checks
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
            labels = [self._labels.of(row, side, where) for side in _SIDES]
            sides = [self._sides.labeled(r, ids, where) for r, (ids, _) in zip(responses, labels, strict=True)]
            rewards = [values for _, values in labels]
        else:
            sides = [self._sides.unlabeled(response, where) for response in responses]
        if self._layout.score == "all":
            self._checks.check(row, responses, [side.response for side in sides], written=True)
            masks = [trained_mask(row, side, where) for side in _SIDES]
            return trajectories(str(row.get("id", number)), sides, rewards, masks)
        prompt, other = (tuple(side.prompt) for side in sides)
        if prompt != other:
            raise BadInput(
                f"{where}: one response was sampled and the other is text, before which this chat template writes "
                "another prompt; give token ids for both"
            )
        chosen, rejected = (tuple(side.response) for side in sides)
        self._checks.check(row, responses, [chosen, rejected])
        marked = _bad_spans(row, responses[0], where), _bad_spans(row, responses[1], where)
        return Pair(str(row.get("id", number)), prompt, chosen, rejected, rewards[0], rewards[1], bad_spans=marked)

    def _begin(self, row: Mapping[str, Any], own: Mapping[str, Any], where: str) -> None:
        if "token_rewards" in row:
            raise BadInput(f"{where}: labels of single responses; training needs `chosen` and `rejected` pairs")
        self._layout = layout_of(own, where, score_of(row))
        if self._layout.kind != "preference":
            raise BadInput(f"{where}: training needs `chosen` and `rejected` columns")
        self._labeled = "chosen_token_rewards" in row
        if not self._labeled:
            return
        self._labels.check()


def _bad_spans(row: Mapping[str, Any], response: Response, where: str) -> Spans | None:
    """What a person marked in one response; None where nobody looked."""
    column = f"{response.side}_bad_spans"
    value = row.get(column)
    return None if value is None else spans_of(value, column, response, where)
