"""The rows of a file as a worker and as the trainer would read them, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.chat_format import ChatFormat, Completion
from tokenreward.dataset.columns import IDS, KEPT, LABELS, TEXTS, prefix
from tokenreward.dataset.row_contexts import columns_of
from tokenreward.dataset.row_items import RowItems
from tokenreward.dataset.row_layout import Response, layout_of, score_of
from tokenreward.dataset.shapes.lists import split
from tokenreward.errors import BadInput
from tokenreward.schema import Item, ItemFailure, Score, Template
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.tools.model_vocabulary import vocabulary_of

#: No row is refused here for its length: what fits is not for a tokenizer to say.
_MOST_TOKENS = 1 << 24


class Reader:
    """A model's tokenizer and a template.

    Args:
        model: A directory with a tokenizer.
        template: What makes an item's branches.

    Raises:
        BadInput: The tokenizer or its chat template cannot be used.
    """

    def __init__(self, model: Path, template: Template) -> None:
        self.chat = ChatFormat.load(model)
        self.template = template
        self.renderer = Renderer(self.chat, _MOST_TOKENS, vocabulary_of(model, self.chat.tokenizer.vocabulary))

    def sources(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Where the template's context fields come from, as far as the row has them."""
        sources = {name: field.source for name, field in self.template.fields.items() if field.source is not None}
        return {name: source for name, source in sources.items() if set(columns_of({name: source})) <= row.keys()}

    def read(self, where: str, item: Item, labeled: Sequence[int] | None) -> RenderedResponse:
        """Reads one response on both ways.

        Args:
            where: What the output calls it.
            item: The response as it is sent.
            labeled: The ids that a label of it has, if there is one.
        """
        (outcome,) = self.renderer.prepare([item], self.template, list(self.template.branches))
        try:
            trained: Completion | str = self.chat.completion(item)
        except BadInput as error:
            trained = str(error)
        return RenderedResponse(self, where, outcome, trained, labeled)


@dataclass(frozen=True)
class RenderedResponse:
    """One response as a worker and as the trainer would read it.

    Attributes:
        reader: What read it.
        where: What the output calls it.
        scored: What a worker would score, or why nothing.
        trained: What the trainer would train on, or why nothing.
        labeled: The ids that the file's label of it has, if there is one.
    """

    reader: Reader
    where: str
    scored: Prepared | ItemFailure
    trained: Completion | str
    labeled: Sequence[int] | None

    @property
    def same(self) -> bool:
        """Whether worker and trainer read the same, refusals included."""
        return not self._differences()

    def shown(self, *, ids: bool) -> str:
        """The response as text for people."""
        lines = [self.where]
        if isinstance(self.scored, ItemFailure):
            lines.append(f"  refused   {self.scored.code}: {self.scored.message}")
        else:
            for name, prompt in self._prompts(self.scored).items():
                lines += self._text(name, prompt, ids)
            lines += self._text("response", self.scored.response_ids, ids)
            lines += self._tokens(self.scored) if ids else []
        lines += [f"  differs   {what}" for what in self._differences()] or ["  trainer   the same"]
        return "\n".join([*lines, "", ""])

    def _differences(self) -> list[str]:
        if isinstance(self.scored, ItemFailure) or isinstance(self.trained, str):
            if isinstance(self.scored, ItemFailure) and isinstance(self.trained, str):
                return []
            if isinstance(self.trained, str):
                return [f"the trainer: {self.trained}"]
            # A context field that the template misses is nothing that worker and trainer read differently.
            missing = isinstance(self.scored, ItemFailure) and "context field" in self.scored.message
            return [] if missing else ["the trainer: trains on it"]
        found = []
        branches, prompts = self.reader.template.branches, self._prompts(self.scored)
        name = next((name for name, branch in branches.items() if branch.conversation), None)
        if name is not None and prompts[name] != self.trained.prompt:
            found.append(f"the trainer's prompt is {self._said(self.trained.prompt)}")
        if list(self.scored.response_ids) != self.trained.response:
            found.append(f"the trainer's response is {self._said(self.trained.response)}")
        if self.labeled is not None and list(self.labeled) != list(self.scored.response_ids):
            found.append(f"the file's label is of {self._said(self.labeled)}")
        return found

    def _prompts(self, scored: Prepared) -> dict[str, list[int]]:
        return {name: [*scored.scoring.prefix, *rest] for name, rest in scored.scoring.branches.items()}

    def _text(self, name: str, ids: Sequence[int], with_ids: bool) -> list[str]:
        return [f"  {name:<9} {self._said(ids)}"] + ([f"            {' '.join(map(str, ids))}"] if with_ids else [])

    def _said(self, ids: Sequence[int]) -> str:
        return repr(self.reader.chat.tokenizer.text(ids))

    def _tokens(self, scored: Prepared) -> list[str]:
        tokens, offsets = self.reader.renderer.pieces(scored)
        rows = zip(scored.response_ids, offsets, tokens, strict=True)
        return [f"            {number:>7}  {start:>5} {end:>5}  {token!r}" for number, (start, end), token in rows]


def rendered_rows(
    reader: Reader, rows: Iterable[Mapping[str, Any]], first: int, name: str, score: Score | None = None
) -> Iterator[RenderedResponse]:
    """Yields the responses of rows.

    Args:
        reader: What reads them.
        rows: The rows, labeled or not.
        first: The number of the first one.
        name: What errors call the file.
        score: Which turns of a conversation are scored. None means those that the rows' labels are of, or the last.

    Raises:
        BadInput: A row has no layout that is known.
    """
    layout = None
    for number, row in enumerate(rows, first):
        where = f"{name}, row {number}"
        own = _own(row)
        layout = layout or layout_of(own, where, score or score_of(row))
        reading = RowItems(layout, reader.sources(row))
        for part in split(own, layout.sides[0]) if layout.shape.listed else [own]:
            for response, item in zip(layout.responses(part, where), reading.of(part, where), strict=True):
                yield reader.read(f"row {number}, {response.side}", Item(**item), _labeled(row, own, response))


def _own(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without its labels. Ids without rewards are the row's own: they were sampled."""
    added = {start + name for start in ("", "chosen_", "rejected_") for name in (*LABELS, *TEXTS, *KEPT.values())}
    if not any(name.endswith("token_rewards") for name in row):
        added -= {start + IDS for start in ("", "chosen_", "rejected_")}
    return {name: value for name, value in row.items() if name not in added}


def _labeled(row: Mapping[str, Any], own: Mapping[str, Any], response: Response) -> Sequence[int] | None:
    column = prefix(response.side) + IDS
    return None if column in own else row.get(column)
