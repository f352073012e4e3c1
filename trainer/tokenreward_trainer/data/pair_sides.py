"""Prompt and response of one side of a pair as token ids, the same that a worker scores."""

from __future__ import annotations

from tokenreward.chat_format import ChatFormat, Completion, Conversation
from tokenreward.chat_format.chat_format import PromptText
from tokenreward.dataset.row_layout import Response
from tokenreward.errors import BadInput
from tokenreward.schema import Item
from tokenreward_trainer.data.trained_turns import conversation_of


class PairSides:
    """Makes ids of responses.

    Args:
        chat: The policy's chat format.
    """

    def __init__(self, chat: ChatFormat) -> None:
        self._chat = chat

    def unlabeled(self, response: Response, where: str) -> Completion:
        """Prompt and response as a worker would score them."""
        item = Item(**response.item())
        self._prompts(item, where)
        try:
            return self._chat.completion(item)
        except BadInput as error:
            raise BadInput(f"{where}, {response.side}: {error}") from None

    def labeled(self, response: Response, ids: list[int], where: str) -> Completion:
        """Prompt and response as a worker has scored them.

        The file does not say whether the ids are those of the text or were sampled. It matters for the prompt, with
        chat templates before whose texts the generation prompt is cut.
        """
        item = Item(**response.item())
        if item.score == "all":
            return conversation_of(self._chat, item, ids, f"{where}, {response.side}")
        sampled, cut = self._prompts(item, where)
        if sampled == cut:
            return Completion(self._chat.ids([sampled])[0], ids, None)
        try:
            written = self._chat.completion(item)
        except BadInput:  # a text that the chat template does not write has come with its ids
            written = None
        if written is not None and written.response == ids:
            return written
        return Completion(self._chat.ids([sampled])[0], ids, None)

    def _prompts(self, item: Item, where: str) -> tuple[PromptText, PromptText]:
        """The prompt of a sampled response, and that of a response that came as text."""
        try:
            conversation = Conversation.of_item(item)
            return self._chat.prompt(conversation), self._chat.prompt(conversation, answered=True)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
