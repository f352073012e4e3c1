r"""The prompt of a pair of texts without a `prompt`: what comes before the last turn of both.

The longest start that both have in common is no prompt: answers that begin alike would lose their beginning to it. A
transcript says where its last turn is. In other texts the end of the prompt is guessed, by a word such as `Answer:` or
by the last line that both share, and the guess is told to the user. Where nothing can be guessed, the pair is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenreward.dataset.shapes.names import MAY_BE_PROMPTS
from tokenreward.dataset.shapes.transcripts import Messages, hh_answered, is_hh
from tokenreward.errors import BadInput

#: How the prompt ends in an HH transcript.
HH = "the last '\\n\\nAssistant:'"
_SPEAKER = re.compile(
    r"(?m)^(?:### )?(?:Assistant|ASSISTANT|AI|Bot|Model|Answer|ANSWER|A|Response|Output)\s?:(?=\s|$)|^### Response\s*$"
)
#: Where a text begins with the other speaker, the answer's may stand within a line.
_ASKED = re.compile(r"\s*(?:Q|Question|Human|User|USER)\s?:")
_ANSWERED = re.compile(r"(?<=\s)(?:A|Answer|Assistant|ASSISTANT)\s?:(?=\s|$)")
_NO_PROMPT = (
    "there is no prompt, and nothing in both texts says where it ends; give the rows a column `prompt`, or name it "
    "with --columns prompt=COLUMN"
)


@dataclass(frozen=True)
class Parted:
    """A pair of texts, parted into prompt and responses.

    Attributes:
        prompt: Text, or the turns of a transcript.
        rest: The responses.
        at: Where the prompt ends, in words. All pairs of a file are parted alike. Whatever is not HH is a guess.
    """

    prompt: str | Messages
    rest: tuple[str, ...]
    at: str


def parted(texts: Sequence[str], where: str, at: str | None = None) -> Parted:
    """Part the texts of a pair.

    Args:
        texts: The chosen and the rejected text, each with the prompt before it.
        where: How a person finds the row.
        at: How the first pair of the file was parted.

    Raises:
        BadInput: The prompt's end cannot be told, the prompts differ, or this pair cannot be parted like the first.
    """
    found = _transcript(texts, where) or _at_speaker(texts, where) or _at_shared_line(texts)
    if found is None:
        raise BadInput(f"{where}, column 'prompt': {_NO_PROMPT}")
    if at is not None and found.at != at:
        raise BadInput(f"{where}: the prompt ends at {found.at}, and in the rows before it at {at} (mixed formats)")
    if not all(text.strip() for text in found.rest):
        raise BadInput(f"{where}: a response is empty behind {found.at}")
    return found


def _transcript(texts: Sequence[str], where: str) -> Parted | None:
    sides = list(zip(("chosen", "rejected"), texts, strict=True))
    whole = [side for side, text in sides if is_hh(text)]
    if not whole:
        return None
    for side, _ in sides:
        if side not in whole:
            raise BadInput(f"{where}, column {side!r}: there is no '\\n\\nAssistant:', which {whole[0]!r} has")
    split = [hh_answered(text, f"{where}, column {side!r}") for side, text in sides]
    if any(asked != split[0][0] for asked, _ in split):
        raise BadInput(f"{where}: 'chosen' and 'rejected' differ before the last '\\n\\nAssistant:'")
    return Parted(split[0][0], tuple(answer for _, answer in split), HH)


def _at_speaker(texts: Sequence[str], where: str) -> Parted | None:
    asked = [_ASKED.match(text) for text in texts]
    speaker = _ANSWERED if all(asked) else _SPEAKER
    ends = [[found.end() for found in speaker.finditer(text)] for text in texts]
    if not all(ends):
        return None
    prompts = [text[: found[-1]] for text, found in zip(texts, ends, strict=True)]
    if len(set(prompts)) > 1:
        raise BadInput(f"{where}: 'chosen' and 'rejected' differ before their last turn")
    for text, first in zip(texts, asked, strict=True):
        again = first and f"\n{first[0].strip()}"
        if again and again in text[len(prompts[0]) :]:
            raise BadInput(f"{where}: a text ends with another {again.strip()!r}, so there is no response to label")
    word = re.split(r"\n|\s(?=\S+\Z)", prompts[0])[-1].strip()
    return Parted(prompts[0], _rest(texts, len(prompts[0])), f"the last {word!r}")


def _at_shared_line(texts: Sequence[str]) -> Parted | None:
    alike = next((n for n, pair in enumerate(zip(*texts, strict=False)) if len(set(pair)) > 1), min(map(len, texts)))
    for line_end, name in (("\n\n", "the last empty line that both share"), ("\n", "the last line that both share")):
        found = texts[0].rfind(line_end, 0, alike)
        if found > 0:
            end = found + len(line_end)
            return Parted(texts[0][:found], _rest(texts, end), name)
    return None


def _rest(texts: Sequence[str], start: int) -> tuple[str, ...]:
    return tuple(text[start:].lstrip() for text in texts)


def check_no_other_prompt(row: Mapping[str, Any], where: str) -> None:
    """Refuse to guess a prompt where a column may well hold it.

    Raises:
        BadInput: There is such a column.
    """
    other = next((name for name in MAY_BE_PROMPTS if row.get(name)), None)
    if other is not None:
        raise BadInput(f"{where}: the column {other!r} may be the prompt; say so with --columns prompt={other}")
