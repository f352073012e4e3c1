"""How a judge's reply becomes a preference: where its verdict stands, by one rule for texts and for probabilities.

Only what stands behind a thought is read. A reply is a verdict if it can mean nothing else. These are looked for, and
the first kind that there is counts:

1. the whole reply is a letter, or says that the answers are equal;
2. letters in double brackets or in LaTeX boxes, if all of them are one letter;
3. a statement of the verdict ("Verdict: B", "I prefer answer A", "It is a tie"), or a last line or sentence that is a
   letter; the last of them counts;
4. a comparison ("B is better", "A wins"), if the last sentence with any names one answer only.

Letters are capitals, except where the whole reply is one. "A" in front of an ordinary word is an article.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenreward_trainer.scorers.final_answer import answer_start

#: letter -> preference for the answer that was shown first, as A
LETTERS = {"A": 1.0, "B": 0.0, "C": 0.5}

_MARKUP = r"[\s*_`\"'“”‘’(\[{]*"
_NAMED = rf"(?:(?i:the\s+)?(?i:answer|response|option|assistant|model)\b{_MARKUP})?"
#: A letter that stands alone. An A in front of an ordinary word is an article.
_LETTER = (
    r"(?P<letter>(?<![\w'’])(?:A(?!\s+(?!because|since|as|over|by|for|with|is|due|and)[a-z])|[BC])(?![\w'’+#]|-\w))"
)
_TIE = r"(?P<tie>(?i:tied?|draw|equal(?:ly)?))\b"
_LEAD_IN = r"(?:(?:the )?(?:better |best |final )?(?:answer|response|verdict|choice|option)(?: is)?\W*)?"

_WHOLE = re.compile(rf"\W*{_LEAD_IN}(?P<letter>[ABC])(?: is better)?\W*", re.IGNORECASE)
_WHOLE_TIE = re.compile(
    rf"\W*(?:(?i:it(?:['’]s| is)|this is|verdict|both are|they are)\b)?\W*(?i:an?\s+)?{_TIE}(?i:\s+(?:good|bad))?\W*"
)
_MARKED = re.compile(
    rf"\[\[\s*{_NAMED}(?P<a>[ABC])\s*\]\]|\\f?boxed\s*\{{\s*(?:\\[a-z]+\s*\{{)?\s*{_NAMED}(?P<b>[ABC])\s*\}}"
)
#: Verdict: B. The better answer is **B**. {"winner": "A"}. Verdict: tie.
_SAID = (
    r"(?i:\b(?:verdict|winner|choice|decision|judge?ment|preference|pick|conclusion|vote|answer|response|option|better"
    rf"|best|preferred))\b[\s*_`\"'“”)\]]*(?::|=|->|→|(?i:\b(?:is|goes to)\b)){_MARKUP}"
    rf"(?:{_NAMED}{_LETTER}|(?i:(?:an?\s+)?){_TIE})"
)
#: I prefer answer A. I would go with B.
_PREFERRED = (
    r"(?<!not )(?<!n['’]t )(?<!never )(?i:\b(?:prefer|choose|chose|pick|select|vote for|go with|favou?r"
    rf"|lean(?:ing)? towards?|side with|i['’]d say|i would say))\s+{_MARKUP}{_NAMED}{_LETTER}"
)
#: <answer>B</answer>
_TAGGED = rf"(?i:<(?:answer|verdict|choice|winner|final|final_answer|output)>)\s*{_MARKUP}{_NAMED}{_LETTER}"
#: It is a tie.
_TIED = (
    r"(?i:\b(?:it(?:['’]s| is)|this is|call (?:it|this)|declare (?:it|this)|i see)\s+(?:about\s+)?(?:an?\s+)?)"
    rf"{_MARKUP}{_TIE}"
)
#: They are equally good.
_EQUAL = (
    r"(?i:\b(?:they|both(?: of them)?(?: answers| responses)?|(?:the )?(?:two )?(?:answers|responses)|A and B) are"
    rf"\s+(?:about |roughly |both |basically |essentially )?){_MARKUP}{_TIE}"
)
#: This is a close call. B
_LAST = rf"(?:\A|[.!?:;\n]){_MARKUP}{_NAMED}{_LETTER}[\s*_`\"'“”)\]}}.!]*\Z"
#: B, because ...; or a first line of its own.
_FIRST = rf"\A{_MARKUP}{_NAMED}{_LETTER}(?=[\s*_`\"'“”)\]}}.,:;-]*(?:\n|(?i:because|since|as)\b))"
_STATED = tuple(map(re.compile, (_SAID, _PREFERRED, _TAGGED, _TIED, _EQUAL, _LAST, _FIRST)))
_HEDGED = "".join(rf"(?<!(?i:\b{word}) )" for word in ("whether", "if", "unless", "neither", "nor", "not", "that"))
#: A letter by itself or behind "answer", so that a hedge stands right before one of the two.
_ITS_NAME = (
    rf"{_HEDGED}(?:(?i:(?:the )?(?:answer|response|option|assistant|model))\b{_MARKUP}|"
    + "".join(rf"(?<!(?i:{word}) )" for word in ("answer", "response", "option", "assistant", "model"))
    + ")"
)
_ADVERBS = (
    r"(?:\s+(?i:clearly|definitely|overall|slightly|somewhat|much|far|really|still|therefore|thus|simply|also|a bit"
    r"|a lot|marginally|significantly|generally))*"
)
_COMPARED = re.compile(
    rf"{_ITS_NAME}(?<![\w'’])(?P<letter>[AB])(?![\w'’])[*_`\"'”)]*{_ADVERBS}\s+"
    rf"(?:(?i:wins)|(?i:is|was|seems|looks){_ADVERBS}\s+(?i:the )?"
    r"(?i:better|best|superior|preferable|preferred|stronger|winner|right|correct|(?:clear )?winner))\b"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Found:
    """A verdict and where it stands.

    Attributes:
        letter: A, B or C.
        place: The character of the reply at which it stands.
        whole: Whether the reply is nothing else.
    """

    letter: str
    place: int
    whole: bool = False


def by_letter(reply: str) -> float | None:
    """Returns the preference for A in [0, 1]; None for a reply that is no verdict."""
    found = find_verdict(reply)
    return None if found is None else LETTERS[found.letter]


def by_probability(tokens: Sequence[Mapping[str, Any]], reply: str | None = None) -> float | None:
    """Returns the preference for A, weighted by how likely the judge found each letter where its verdict stands.

    Args:
        tokens: `logprobs.content` of a chat completion.
        reply: Its text, where that may be less than the tokens: a server may cut out the thought.

    Returns:
        The preference in [0, 1]; None if the reply is no verdict.
    """
    if reply is not None and not reply.strip():
        return None
    texts = [_text(token) for token in tokens]
    whole = "".join(texts)
    start = 0 if reply is None else max(whole.rfind(reply.strip()), 0)
    found = find_verdict(whole[start:])
    if found is None:
        return None
    place = found.place + start
    for token, text in zip(tokens, texts, strict=True):
        if place < len(text):
            return _weighed(token, found)
        place -= len(text)
    return None


def find_verdict(reply: str) -> Found | None:
    """Finds the verdict in a judge's reply; None if there is none, or if it could mean more than one."""
    start = answer_start(reply)
    if start is None:
        return None
    answer = reply[start:]
    found = _whole(answer) or _marked(answer) or _stated(answer) or _compared(answer)
    return None if found is None else Found(found.letter, found.place + start, found.whole)


def _whole(answer: str) -> Found | None:
    found = _WHOLE.fullmatch(answer)
    if found is not None:
        return Found(found["letter"].upper(), found.start("letter"), whole=True)
    found = _WHOLE_TIE.fullmatch(answer)
    return None if found is None else Found("C", found.start("tie"), whole=True)


def _marked(answer: str) -> Found | None:
    """The last of the marks if they agree. Others that disagree leave nothing to be found: `_stated` ends with them."""
    marks = [Found(found["a"] or found["b"], max(found.start("a"), found.start("b"))) for found in _marks(answer)]
    return marks[-1] if len({mark.letter for mark in marks}) == 1 else None


def _marks(answer: str) -> Iterator[re.Match[str]]:
    return _MARKED.finditer(answer)


def _stated(answer: str) -> Found | None:
    if any(_marks(answer)):
        return None
    found = [statement for pattern in _STATED for statement in pattern.finditer(answer)]
    if not found:
        return None
    last = max(found, key=_place)
    letter = last.groupdict().get("letter") or "C"
    compared = _compared(answer)
    if letter == "C" and compared is not None and compared.place > _place(last):
        return compared  # what was conceded before the comparison is not the verdict
    return Found(letter, _place(last))


def _compared(answer: str) -> Found | None:
    if any(_marks(answer)):
        return None
    place = 0
    last: list[Found] = []
    for sentence in _SENTENCE_END.split(answer):
        place = answer.index(sentence, place)
        here = [Found(found["letter"], place + found.start("letter")) for found in _COMPARED.finditer(sentence)]
        last = here or last
        place += len(sentence)
    return last[0] if len({found.letter for found in last}) == 1 else None


def _place(statement: re.Match[str]) -> int:
    groups = statement.groupdict()
    return statement.start("letter" if groups.get("letter") is not None else "tie")


def _weighed(token: Mapping[str, Any], found: Found) -> float:
    """The preference by the alternatives of the verdict's token; what the reply says if none of them is a letter."""
    chances = dict.fromkeys(LETTERS, 0.0)
    others = list(token.get("top_logprobs") or ())
    if all(other["token"] != token["token"] for other in others):
        others.append(token)
    for other in others:
        letter = "".join(filter(str.isalnum, _text(other)))
        letter = letter.upper() if found.whole else letter
        if letter in LETTERS:
            chances[letter] += math.exp(other["logprob"])
    total = sum(chances.values())
    if not chances[found.letter] or not total:
        return LETTERS[found.letter]
    return sum(LETTERS[letter] * chance for letter, chance in chances.items()) / total


def _text(token: Mapping[str, Any]) -> str:
    """A token's text; some servers give entries of the vocabulary, in which blanks and line breaks have other signs."""
    return str(token["token"]).replace("▁", " ").replace("Ġ", " ").replace("Ċ", "\n")
