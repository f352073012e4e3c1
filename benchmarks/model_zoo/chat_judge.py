"""Whether worker and trainer read a conversation as the model's own chat template writes it.

The measure is transformers' rendering of the whole conversation, answer included, with the one date that is used
everywhere. The ids of the prompt and of the response together have to be its ids, up to the end of the turn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from pydantic import ValidationError

from benchmarks.model_zoo.conversations import BASIC, Row, conversations, look_alikes
from benchmarks.model_zoo.families import Family
from tokenreward.chat_format import ChatFormat
from tokenreward.chat_format.template import TODAY
from tokenreward.dataset.row_layout import layout_of
from tokenreward.errors import BadInput
from tokenreward.schema import Branch, Item, ItemFailure, Template
from tokenreward_trainer.data.labeled_pairs import pairs_of
from tokenreward_workers.rendering import Renderer

_AS_IT_IS = Template(name="as_it_is", branches={"plain": Branch(conversation=True)})
#: What a chat template raises for a conversation that it does not take.
_REFUSALS = (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError)

Ids = list[int]


@dataclass(frozen=True, slots=True)
class Read:
    """What came of one conversation.

    Attributes:
        verdict: "right"; "refused" by worker and trainer; "wrong"; or "not taken" by the chat template either.
        reason: Why it was refused, or what is wrong.
    """

    verdict: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FamilyJudged:
    """What came of one chat template.

    Attributes:
        name: The family's.
        reads: By the name of the conversation.
    """

    name: str
    reads: Mapping[str, Read]

    @property
    def verdict(self) -> str:
        """ "wrong" if one conversation is, "right" if all basic ones that the template takes are, else "refused"."""
        if any(read.verdict == "wrong" for read in self.reads.values()):
            return "wrong"
        basic = [self.reads[name].verdict for name in BASIC]
        return "refused" if "refused" in basic else "right"


def judge(family: Family) -> FamilyJudged:
    """Try every conversation with a chat template, read by a worker from files and by the trainer from memory."""
    tokenizer = family.tokenizer()
    rows = conversations(family)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        try:
            renderer = Renderer(ChatFormat.load(Path(folder)), 100_000, 100_000)
        except BadInput as error:
            return FamilyJudged(family.name, dict.fromkeys(rows, Read("refused", str(error))))
    return FamilyJudged(
        family.name, {name: _read(family, tokenizer, renderer, name, row) for name, row in rows.items()}
    )


def _read(family: Family, tokenizer: Any, renderer: Renderer, name: str, row: Row) -> Read:
    worker, trainer = _of_the_worker(renderer, row), _of_the_trainer(tokenizer, row)
    own = _rendered(tokenizer, _with_thoughts_as(family.thought, row))
    if isinstance(worker, str) and isinstance(trainer, str):
        return Read("not taken" if own is None else "refused", worker)
    if isinstance(worker, str) or isinstance(trainer, str):
        return Read("wrong", f"one refuses, the other does not: {worker if isinstance(worker, str) else trainer}")
    if worker != trainer:
        return Read("wrong", "worker and trainer have other ids")
    if own is None:
        own = _rendered(tokenizer, _without_system(row))
    if own is None:
        return Read("wrong", "the chat template refuses this conversation, and it was read nevertheless")
    if name == "look-alikes":
        off = _off_as_text(family, tokenizer, worker, own)
    else:
        off = _off(family, tokenizer, worker, own)
    return Read("wrong", off) if off else Read("right")


def _of_the_worker(renderer: Renderer, row: Row) -> tuple[Ids, Ids] | str:
    """Ids of prompt and response, on the way from a row over an item to the engine; or why it is refused."""
    try:
        item = Item.model_validate(layout_of(row, "row 0").responses(row, "row 0")[0].item())
    except (BadInput, ValidationError) as error:
        return str(error)
    (ready,) = renderer.prepare([item], _AS_IT_IS, ["plain"])
    if isinstance(ready, ItemFailure):
        return ready.message
    return [*ready.scoring.prefix, *ready.scoring.branches["plain"]], list(ready.response_ids)


def _of_the_trainer(tokenizer: Any, row: Row) -> tuple[Ids, Ids] | str:
    """Ids of prompt and completion that an unlabeled row would be trained on; or why it is refused."""
    try:
        (pair,) = pairs_of([row], tokenizer, None, max_length=100_000, max_prompt_length=90_000).pairs
    except BadInput as error:
        return str(error)
    return list(pair.prompt), list(pair.chosen)


def _rendered(tokenizer: Any, row: Row) -> tuple[str, str] | None:
    """The whole conversation and its prompt as the chat template writes them; None if it refuses them."""
    options = {"tools": row.get("tools"), "tokenize": False, "strftime_now": TODAY.strftime}
    options |= row.get("chat_template_kwargs", {})
    try:
        return (
            tokenizer.apply_chat_template(row["prompt"] + row["chosen"], add_generation_prompt=False, **options),
            tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, **options),
        )
    except _REFUSALS:
        return None


def _with_thoughts_as(name: str, row: Row) -> Row:
    """The row with thoughts under the name that the template reads."""
    (answer,) = row["chosen"]
    return row | {"chosen": [{name if key == "reasoning_content" else key: value for key, value in answer.items()}]}


def _without_system(row: Row) -> Row:
    """The row for a template without a system role: the system message opens the first user turn."""
    if [message["role"] for message in row["prompt"][:2]] != ["system", "user"]:
        return row
    system, user, *rest = row["prompt"]
    return row | {"prompt": [user | {"content": f"{system['content']}\n\n{user['content']}"}, *rest]}


def _off(family: Family, tokenizer: Any, ours: tuple[Ids, Ids], own: tuple[str, str]) -> str:
    """What differs from the template's own rendering; empty if nothing does."""
    ids = [*ours[0], *ours[1]]
    reasons = [_off_from(family, tokenizer, ids, expected) for expected in _expected(tokenizer, *own)]
    return "" if "" in reasons else reasons[0]


def _expected(tokenizer: Any, whole: str, prompt: str) -> list[Ids]:
    """The ids of the whole. Blanks on both sides of the answer's beginning may also stay apart, as in sampling."""
    found = [_ids(tokenizer, whole)]
    answer = whole.removeprefix(prompt)
    if answer != whole and prompt[-1:].isspace() and answer[:1].isspace():
        behind_a_letter = _ids(tokenizer, "a" + answer)[len(_ids(tokenizer, "a")) :]
        found.append([*_ids(tokenizer, prompt), *behind_a_letter])
    return found


def _off_from(family: Family, tokenizer: Any, ids: Ids, expected: Ids) -> str:
    same = next((n for n, pair in enumerate(zip(ids, expected, strict=False)) if pair[0] != pair[1]), None)
    if same is None:
        same = min(len(ids), len(expected))
    more, rest = ids[same:], tokenizer.decode(expected[same:])
    near = tokenizer.decode(ids[max(0, same - 6) : same + 10])
    theirs = tokenizer.decode(expected[max(0, same - 6) : same + 10])
    if more and not (not family.end and more == [tokenizer.eos_token_id]):
        return f"{near!r} where the template has {theirs!r}"
    if _but_for_the_end_of_text(family, rest).strip():
        return f"it ends before {rest!r}"
    return ""


def _but_for_the_end_of_text(family: Family, text: str) -> str:
    """The end of a rendering without the token that ends a text, which Phi 3's template writes behind the last turn."""
    return text if family.eos in (None, family.end) else text.rstrip().removesuffix(str(family.eos))


def _off_as_text(family: Family, tokenizer: Any, ours: tuple[Ids, Ids], own: tuple[str, str]) -> str:
    """As `_off`, for text that looks like control tokens: it has to be in the text, and not among the control ids."""
    ids = [*ours[0], *ours[1]]
    harmless = _rendered(tokenizer, look_alikes(family.control, harmless=True))
    assert harmless is not None, "the template takes look-alikes and refuses plain words"
    control = set(tokenizer.convert_tokens_to_ids(list(family.control)))
    expected = _but_for_the_end_of_text(family, harmless[0])
    theirs = [number for number in _ids(tokenizer, expected) if number in control]
    written = [number for number in ids if number in control]
    text, whole = ("".join(some.split()) for some in (tokenizer.decode(ids), _but_for_the_end_of_text(family, own[0])))
    if not family.end and written[-1:] == [tokenizer.eos_token_id]:
        written, text = written[:-1], text.removesuffix(tokenizer.eos_token)
    if written != theirs:
        return f"its control tokens are {tokenizer.convert_ids_to_tokens(written)}"
    return "" if text == whole else f"its text is {text!r}"


def _ids(tokenizer: Any, text: str) -> Ids:
    found: Sequence[int] = tokenizer(text, add_special_tokens=False).input_ids
    return list(found)
