"""From rows of prompts to what an engine is asked: ids by the policy's chat template, a seed for every response."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedTokenizerBase
from transformers.utils import GENERATION_CONFIG_NAME

from tokenreward.chat_format import ChatFormat
from tokenreward.checkpoint.folder import refuse_adapter
from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.loading import in_one_line, load_config, load_tokenizer
from tokenreward.checkpoint.vocabulary import check_rows
from tokenreward.errors import BadInput
from tokenreward_trainer.data.conversations import conversation_of
from tokenreward_trainer.sampling.engines.base import Request, Response
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.scorers.final_answer import begun_by

#: Tokens at the end of a prompt among which the mark that opens a thought is found.
_TAIL = 32
#: Columns that sampling writes, and its input may therefore not have.
RESERVED = ("responses",)


@dataclass(frozen=True)
class Policy:
    """What sampling needs of a model beside its weights.

    Attributes:
        name: The model directory or hub name.
        tokenizer: Its tokenizer.
        chat: Its chat format.
        stops: Tokens that end a response.
        longest: The most tokens of prompt and response; None if the model sets no limit.
    """

    name: str
    tokenizer: PreTrainedTokenizerBase
    chat: ChatFormat
    stops: frozenset[int]
    longest: int | None

    @classmethod
    def load(cls, name: str) -> Policy:
        """Loads tokenizer and configuration of a model directory or hub name.

        Raises:
            BadInput: They cannot be loaded.
        """
        folder = find_model(name, weights=False)
        refuse_adapter(folder)
        tokenizer = load_tokenizer(folder, name)
        config = load_config(folder).get_text_config()
        try:
            chat = ChatFormat.from_pretrained_tokenizer(tokenizer)
        except BadInput as error:
            raise BadInput(f"the chat format of {name} cannot be read: {error}") from error
        check_rows(chat, config.vocab_size, f"model {name!r}")
        longest = getattr(config, "max_position_embeddings", None)
        return cls(name, tokenizer, chat, _stops(folder, tokenizer, chat), longest)

    def requests(self, rows: Sequence[Mapping[str, Any]], settings: Sampling, name: str) -> list[Request]:
        """Makes a request of each row.

        Args:
            rows: Rows with `prompt`, text or messages.
            settings: How responses are sampled.
            name: What errors call the rows.

        Raises:
            BadInput: A row cannot be sampled; the message names it.
        """
        return [self._request(row, settings, f"{name}, row {number}") for number, row in enumerate(rows)]

    def text(self, response: Response) -> str:
        """Returns a response's text, without the token that ended it and without other control tokens."""
        ids = response.token_ids[:-1] if response.finished else response.token_ids
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _request(self, row: Mapping[str, Any], settings: Sampling, where: str) -> Request:
        prompt = row.get("prompt")
        taken = next((column for column in RESERVED if column in row), None)
        if taken is not None:
            raise BadInput(f"{where}: has a column {taken!r} already: it was sampled, or the column needs another name")
        conversation = conversation_of(row, where)
        try:
            ids = tuple(self.chat.prompt_ids(conversation))
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
        room = settings.max_tokens if self.longest is None else min(settings.max_tokens, self.longest - len(ids))
        if room < 1:
            raise BadInput(
                f"{where}: its prompt is {len(ids)} tokens, and the model takes {self.longest}: no room left"
            )
        seeds = tuple(seed_of(settings.seed, prompt, number) for number in range(settings.n))
        return Request(ids, seeds, room, self._begun(ids))

    def _begun(self, ids: Sequence[int]) -> str:
        """The mark at a prompt's end that opens a thought, unless it is a control token, which no text would close."""
        with_control, without = (
            str(self.tokenizer.decode(ids[-_TAIL:], skip_special_tokens=skip, clean_up_tokenization_spaces=False))
            for skip in (False, True)
        )
        begun = begun_by(with_control)
        return begun if without.endswith(begun) else ""


def seed_of(seed: int, prompt: Any, number: int) -> int:
    """Returns the seed of one response, by the prompt's content and not its place, so other prompts change nothing."""
    content = json.dumps([seed, prompt, number], sort_keys=True, ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big") >> 1


def _stops(folder: Path, tokenizer: PreTrainedTokenizerBase, chat: ChatFormat) -> frozenset[int]:
    """The end of turn as the chat template writes it, and what model and tokenizer call the end."""
    ends = None
    if (folder / GENERATION_CONFIG_NAME).is_file():  # A model need not have one.
        with in_one_line(f"{folder / GENERATION_CONFIG_NAME}"):
            ends = GenerationConfig.from_pretrained(folder).eos_token_id
    found = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id, chat.end_of_turn}
    return frozenset(int(number) for number in found if number is not None)
