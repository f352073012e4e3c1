"""What ends an assistant's turn, read off what the chat template writes behind an answer."""

from __future__ import annotations

from dataclasses import dataclass

from tokenreward.chat_format.chat_tokenizer import ChatTokenizer


@dataclass(frozen=True, slots=True)
class End:
    """What ends a turn.

    Attributes:
        text: What the template writes behind the answer, up to and including what ends the turn.
        eos: The id to append where the template writes nothing that ends a turn, or None.
    """

    text: str
    eos: int | None = None


def end_of_turn(tokenizer: ChatTokenizer, rest: str, eos: int | None) -> End:
    """Finds what ends the turn: the first control token, else the first added token, else all that is not blank.

    Control tokens between it and the eos token belong to it, and so do added tokens that follow at once.

    Args:
        tokenizer: The model's tokenizer.
        rest: Everything that the template writes behind an answer, control tokens under their secret names.
        eos: The id of the eos token, which ends a turn if the template writes nothing there.
    """
    first = tokenizer.control.first(rest)
    if first is not None:
        run = tokenizer.control.run(rest, first.start())
        last = next((token for token in run if int(token[1]) == eos), first)
        return End(rest[: last.end()])
    added = tokenizer.added.search(rest)
    if added is not None:
        return End(rest[: added.end()])
    return End(rest.rstrip()) if rest.strip() else End("", eos)
