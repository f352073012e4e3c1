"""What a chat template puts around an answer, read off conversations with a probe in the answer's place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_letters, digits

from tokenreward.chat_format.anchoring import Anchor, anchor_for
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.chat_format.end_of_turn import end_of_turn
from tokenreward.chat_format.message_forms import PROBE
from tokenreward.chat_format.messages import Conversation
from tokenreward.chat_format.named_template import NamedTemplate
from tokenreward.errors import BadInput

_THOUGHT = "qzTHOUGHTzq"
#: What templates are known to do something with: blanks, lines, quotes, markup, letters of all lengths, and much text.
_AWKWARD = ("qzA \n\n  'b' \"c\" \\d <e> &amp; {f} [g]\t\u00e9 \u6f22 \U0001f642 1.50 *h* # i: jzq\n" * 64).strip()
#: A generation prompt is cut by so many characters at most to end where a token ends.
_MOST_CUT = 48


@dataclass(frozen=True, slots=True)
class Turn:
    """What surrounds an answer. Control tokens have their secret names.

    Attributes:
        dropped: The end of the generation prompt that is not there, or is written otherwise, once there is an answer.
        before: What the template writes between the rest of the generation prompt and an answer.
        rest: Everything that it writes behind an answer.
        anchor: How to tokenize what follows the generation prompt.
        verbatim: Whether it writes every answer as it is that is not blank at either end and has none of its markers.
        refusal: Why no answer can be written, else empty.
    """

    dropped: str
    before: str
    rest: str
    anchor: Anchor
    verbatim: bool = False
    refusal: str = ""


def read_turn(template: NamedTemplate, tokenizer: ChatTokenizer, conversation: Conversation, eos: int | None) -> Turn:
    """Reads off a conversation what surrounds its answer.

    The generation prompt is cut to what every answered conversation has too. R1's opens a thought, for one, and no
    answered conversation has a thought. It is cut further to where a token ends in the whole conversation.

    Args:
        template: The model's chat template.
        tokenizer: The model's tokenizer.
        conversation: The conversation.
        eos: The id that ends a turn if the template writes nothing there.

    Raises:
        BadInput: The template refuses the conversation itself.
    """
    prompt = template.prompt(conversation)
    try:
        answered = template.whole(conversation, PROBE)
    except BadInput as error:
        return _unanswered(str(error))
    if answered.count(PROBE) != 1:
        return _unanswered("the model's chat template does not write an assistant's answer; send `token_ids`")
    # A generation prompt that says there is no thought is kept whole, for the answers that have none.
    plain = alike(prompt, answered)
    wholes = [answered, *(w for w in _with_a_thought(template, conversation) if alike(prompt, w) >= plain)]
    control = tokenizer.control
    start = control.whole(prompt, alike(prompt, unprompted(template, conversation, prompt)))
    end = control.whole(prompt, plain)
    if end < start:
        return _unanswered(
            "the model's chat template writes the conversation otherwise once it is answered (an earlier thought or "
            "call is left out); leave it out of the prompt, or send the response as `token_ids`"
        )
    if answered.startswith(PROBE, end) and not prompt.endswith("\n"):  # an answer's first letter may join the prompt
        wholes += [answered.replace(PROBE, letter) for letter in ascii_letters + digits]
    end = token_end(tokenizer, prompt, start, end, wholes)
    wholes = [whole for whole in wholes if PROBE in whole]
    before, _, rest = answered[end:].partition(PROBE)
    closing = end_of_turn(tokenizer, rest, eos).text
    followings = [whole[end : whole.rindex(PROBE)] + PROBE + closing for whole in wholes]
    anchor = anchor_for(tokenizer, prompt[:end], followings)
    verbatim = template.whole(conversation, _AWKWARD) == answered.replace(PROBE, _AWKWARD)
    return Turn(prompt[end:], before, rest, anchor, verbatim)


def _unanswered(why: str) -> Turn:
    return Turn("", "", "", Anchor("", ()), refusal=why)


def _with_a_thought(template: NamedTemplate, conversation: Conversation) -> Iterator[str]:
    """The conversation with an answer that has a thought, if the template writes thoughts."""
    for answer in (
        {"role": "assistant", "content": PROBE, "reasoning_content": _THOUGHT},
        {"role": "assistant", "content": f"<think>\n{_THOUGHT}\n</think>\n\n{PROBE}"},
    ):
        try:
            whole = template.whole(conversation, answer)
        except BadInput:
            continue
        if _THOUGHT in whole and whole.count(PROBE) == 1:
            yield whole


def unprompted(template: NamedTemplate, conversation: Conversation, prompt: str) -> str:
    """The conversation without a generation prompt; the prompt itself where the template refuses to leave it out."""
    try:
        return template.whole(conversation, None)
    except BadInput:
        return prompt


def alike(one: str, other: str) -> int:
    """The number of characters with which both begin."""
    differing = (n for n, (here, there) in enumerate(zip(one, other, strict=False)) if here != there)
    return next(differing, min(len(one), len(other)))


def token_end(tokenizer: ChatTokenizer, prompt: str, start: int, end: int, wholes: Sequence[str]) -> int:
    """The last place from `start` to `end` where the prompt's tokens are those of every whole conversation."""
    places = sorted({tokenizer.control.whole(prompt, n) for n in range(max(start, end - _MOST_CUT), end + 1)})
    expected = tokenizer.encode(wholes)
    for place in reversed(places):
        (ids,) = tokenizer.encode([prompt[:place]])
        if place >= start and all(ids == whole[: len(ids)] for whole in expected):
            return place
    return end
