"""A Hugging Face sequence-classification reward model: its one logit for prompt and response is the score.

The conversation goes through the reward model's own chat template; a model without one reads prompt and response as
a pair of texts. Custom code from a model's repository is never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.chat_format import ChatFormat
from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.loading import in_one_line, load_model, load_tokenizer
from tokenreward.errors import BadInput
from tokenreward.schema.messages import text_of
from tokenreward_trainer.data.conversations import conversation_of
from tokenreward_trainer.resumable.hashes import model_hash
from tokenreward_trainer.scorers.base import Group, messages_of

#: Tokens, padding included, of one forward pass.
_BATCH_TOKENS = 8192


def identity_of(name: str) -> dict[str, Any]:
    """Returns the identity of a reward model by the content of its files.

    Raises:
        BadInput: No model is named.
    """
    if not name:
        raise BadInput("reward_model needs a model: write reward_model:DIRECTORY_OR_HUB_NAME")
    return {"scorer": "reward_model", "model": Path(name).name, "hash": model_hash(name)}


@dataclass(frozen=True)
class _Encoded:
    """segments: the number of the text that each token is of, where the tokenizer says so, as BERT's does."""

    ids: list[int]
    segments: list[int] | None = None


class RewardModel:
    """Scores by a reward model.

    Args:
        name: A model directory or hub name.

    Raises:
        BadInput: The model cannot be loaded or has several logits.
    """

    def __init__(self, name: str) -> None:
        self.identity = identity_of(name)
        import torch

        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
        folder = find_model(name)
        self._tokenizer = load_tokenizer(folder, name)
        model = load_model("AutoModelForSequenceClassification", folder, name, dtype="auto")
        self._chat = _chat_format(self._tokenizer, name) if self._tokenizer.chat_template else None
        if model.config.num_labels != 1:
            raise BadInput(
                f"the reward model {name!r} gives {model.config.num_labels} logits where a score is one: a classifier"
            )
        self._model = model.to(device).eval()
        own = self._tokenizer.pad_token_id
        self._own_pad: int | None = own if model.config.pad_token_id is None else model.config.pad_token_id
        self._name = name
        positions = getattr(model.config, "max_position_embeddings", None) or 1 << 20
        self._longest = min(int(self._tokenizer.model_max_length), int(positions))
        self._rows = int(model.get_input_embeddings().weight.shape[0])
        with in_one_line(f"the chat template of {name}"):
            written = self._encoded(Group("a", ("a",), (), {}, "a"), "a").ids
        if max(written) >= self._rows:
            raise BadInput(
                f"the reward model {name!r}: its tokenizer writes {max(written)} around every text, and the model "
                f"takes {self._rows} ids (0 to {self._rows - 1}): take the tokenizer that it was trained with"
            )

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Returns the logit of each response of each group; None for one that is longer than the model takes, or has a
        token that it does not know."""
        encoded = [self._encoded(group, text) for group in groups for text in group.responses]
        scores: list[float | None] = [None] * len(encoded)
        for batch in self._batches([self._length(row) for row in encoded]):
            for index, value in zip(batch, self._forward([encoded[index] for index in batch]), strict=True):
                scores[index] = value
        found = iter(scores)
        return [[next(found) for _ in group.responses] for group in groups]

    def _encoded(self, group: Group, response: str) -> _Encoded:
        if self._chat is not None:
            conversation = conversation_of({**group.row, "prompt": group.prompt}, group.where)
            try:
                return _Encoded(self._chat.whole_ids(conversation, response))
            except BadInput as error:
                raise BadInput(f"{group.where}: {self._name}: {error}") from None
        prompt = "\n\n".join(text_of(message["content"]) for message in messages_of(group.prompt))
        pair = self._tokenizer(prompt, response)
        return _Encoded(pair["input_ids"], pair.get("token_type_ids"))

    def _length(self, row: _Encoded) -> int:
        """Its tokens; more than the model takes for a row with a token beyond the embedding."""
        return len(row.ids) if max(row.ids, default=0) < self._rows else self._longest + 1

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices in batches of like length; a row that is longer than the model takes is in none."""
        batches: list[list[int]] = []
        for index in sorted(
            (n for n, length in enumerate(lengths) if length <= self._longest), key=lengths.__getitem__
        ):
            if batches and (len(batches[-1]) + 1) * lengths[index] <= _BATCH_TOKENS:
                batches[-1].append(index)
            else:
                batches.append([index])
        return batches

    def _forward(self, rows: Sequence[_Encoded]) -> list[float]:
        import torch

        width, pad = max(len(row.ids) for row in rows), self._padding([row.ids for row in rows])
        self._model.config.pad_token_id = pad

        def grid(lines: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
            # Padding stands on the right, where no token before it sees it.
            filled = [[*line, *[filler] * (width - len(line))] for line in lines]
            return torch.tensor(filled, device=self._model.device)

        inputs = {
            "input_ids": grid([row.ids for row in rows], pad),
            "attention_mask": grid([[1] * len(row.ids) for row in rows], 0),
        }
        segments = [row.segments for row in rows if row.segments is not None]
        if segments:  # A tokenizer gives them for every pair or for none.
            inputs["token_type_ids"] = grid(segments, 0)
        with torch.inference_mode():
            logits = self._model(**inputs).logits
        values: list[float] = logits.float().reshape(-1).tolist()
        return values

    def _padding(self, rows: Sequence[Sequence[int]]) -> int:
        """The padding token, unless a row ends in it: decoders read their score off the last token that is another."""
        own = self._own_pad
        if own is not None and 0 <= own < self._rows and all(row[-1] != own for row in rows):
            return own
        used = {token for row in rows for token in row}
        return next(token for token in range(len(used) + 1) if token not in used)


def _chat_format(tokenizer: Any, name: str) -> ChatFormat:
    try:
        return ChatFormat.from_pretrained_tokenizer(tokenizer)
    except BadInput as error:
        raise BadInput(f"the reward model {name!r}: {error}") from None
