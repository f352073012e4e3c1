"""The responses that are ranked: those sampled for each prompt, and one more from a stronger model where a file has it
(WPO's hybrid data, arXiv 2406.11827).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenreward.dataset.formats import read_meta
from tokenreward.errors import BadInput
from tokenreward_trainer.data.conversations import conversation_of
from tokenreward_trainer.resumable.segments import Row, read_rows
from tokenreward_trainer.scorers import Group


@dataclass(frozen=True)
class Sampled:
    """One response.

    Attributes:
        text: Its text.
        token_ids: Its tokens, the token that ended it included.
        finished: Whether it ended by itself.
        source: `policy`, or `extra` for one of a stronger model.
        begun: What the generation prompt had written of it already, which is not in `text`.
    """

    text: str
    token_ids: tuple[int, ...]
    finished: bool
    source: str
    begun: str = ""


@dataclass(frozen=True)
class Responses:
    """The responses to one prompt that can be ranked.

    Attributes:
        row: The prompt's row.
        where: What errors call it.
        kept: The responses that can be ranked.
        empty: How many were left out because they had no text.
        duplicates: How many were left out because their text had been sampled before.
        unfinished: How many were left out because they were cut off.
    """

    row: Row
    where: str
    kept: tuple[Sampled, ...]
    empty: int = 0
    duplicates: int = 0
    unfinished: int = 0

    @property
    def group(self) -> Group:
        """The same as scorers take it."""
        return Group(
            prompt=self.row["prompt"],
            responses=[response.begun + response.text for response in self.kept],
            token_ids=[response.token_ids for response in self.kept],
            row={name: value for name, value in self.row.items() if name not in ("prompt", "responses")},
            where=self.where,
        )


def responses_of(row: Row, where: str, extra: Sequence[Sampled], finished_only: bool) -> Responses:
    """Takes the responses of a row, every text once and no empty one.

    Args:
        row: A row that was sampled.
        where: What errors call it.
        extra: Responses of a stronger model.
        finished_only: Whether to leave out responses that were cut off.

    Raises:
        BadInput: The row was not sampled.
    """
    given = row.get("responses")
    if not isinstance(given, list) or not row.get("prompt"):
        raise BadInput(f"{where}: no `prompt` and `responses`; `tokenreward sample` writes them")
    kept: dict[str, Sampled] = {}
    empty = duplicates = unfinished = 0
    own = [_sampled(response, where) for response in given]
    # They all stand behind one prompt.
    begun = own[0].begun if own else ""
    for response in [*own, *(replace(one, begun=begun) for one in extra)]:
        if not response.text.strip():
            empty += 1
        elif finished_only and not response.finished:
            unfinished += 1
        elif response.text in kept:
            duplicates += 1
        else:
            kept[response.text] = response
    return Responses(row, where, tuple(kept.values()), empty, duplicates, unfinished)


def _sampled(response: Any, where: str) -> Sampled:
    try:
        ids = tuple(response["token_ids"])
        found = Sampled(response["text"], ids, response["finished"], "policy", response.get("begun") or "")
    except (KeyError, TypeError, AttributeError):
        raise BadInput(
            f"{where}: a response is {{text, token_ids, finished}}, as `tokenreward sample` writes it"
        ) from None
    texts = isinstance(found.text, str) and isinstance(found.begun, str)
    if not ids or not texts or not isinstance(found.finished, bool):
        raise BadInput(f"{where}: a response without token ids, or with a text or flag that is none")
    return found


def read_extra(path: Path, rows: Sequence[Row], model: str | None, samples: Path) -> dict[int, list[Sampled]]:
    """Reads responses of a stronger model.

    Rows have `response` (text) and, if the other model shares the policy's tokenizer, `token_ids`. Text is tokenized
    once, here, as the policy's chat template would put it.

    Args:
        path: The file.
        rows: The rows that were sampled; a response belongs to the one with its `id`, or with its `prompt`.
        model: The policy, whose tokenizer cuts text.
        samples: The file that was sampled, for errors.

    Returns:
        Responses by the number of their row.

    Raises:
        BadInput: A row belongs to no prompt, or has no text.
    """
    places = {key: number for number, row in enumerate(rows) for key in _keys(row)}
    chat = None
    found: dict[int, list[Sampled]] = {}
    for number, row in enumerate(read_rows(path)):
        where = f"{path}, row {number}"
        place = next((places[key] for key in _keys(row) if key in places), None)
        if place is None:
            raise BadInput(f"{where}: its `id` or `prompt` is none of {samples}")
        text, ids = row.get("response"), row.get("token_ids")
        if not isinstance(text, str) or not text:
            raise BadInput(f"{where}: no text in `response`")
        finished = row.get("finished", True)
        if ids is None:
            chat = chat or _chat(model, samples)
            ids = _written(chat, rows[place], text, finished, where)
        found.setdefault(place, []).append(Sampled(text, tuple(ids), finished, "extra"))
    return found


def _written(chat: Any, row: Row, text: str, finished: bool, where: str) -> list[int]:
    """The ids of a text behind the prompt that the policy's own responses were sampled behind."""
    asked = conversation_of(row, where)
    try:
        if chat.prompt(asked) != chat.prompt(asked, answered=True):
            raise BadInput(
                "the policy's chat template does not write a text behind the prompt that responses are sampled behind; "
                "give its `token_ids`"
            )
        return list(chat.answer_ids(text, asked, finished=finished))
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


def _keys(row: Mapping[str, Any]) -> list[str]:
    prompt = row.get("prompt")
    names = [f"id {row['id']}"] if row.get("id") is not None else []
    return names + ([f"prompt {prompt!r}"] if prompt else [])


def _chat(model: str | None, samples: Path) -> Any:
    if model is None:
        raise BadInput(
            "responses of another model come as text: name the policy with --model, whose tokenizer cuts them"
        )
    from tokenreward_trainer.sampling.requests import Policy

    chat = Policy.load(model).chat
    sampled = (read_meta(samples) or {}).get("sampling", {}).get("tokenizer_hash", chat.hash)
    if sampled != chat.hash:
        raise BadInput(f"{model} has another tokenizer than the model that {samples} was sampled from")
    return chat
