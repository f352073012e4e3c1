"""Log-probs of given token ids, over the service's own teacher wire (`POST /v1/completions`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenreward.errors import BadInput
from tokenreward.http.connection import Connection
from tokenreward.http.exchange import JSON, Request
from tokenreward.settings import client_settings

#: The most sequences of one request, and how long it waits for its answer, with the service's default settings.
_AT_ONCE, _WAIT_SECONDS = 64, 600.0


@dataclass(frozen=True)
class Teacher:
    """A served model that scores token ids as they are. It opens its connections when it is used.

    Attributes:
        url: The service's base address; None for `TOKENREWARD_URL`.
        api_key: An API key; None for `TOKENREWARD_API_KEY`.
        model: A served model's name; None for the only one.
        patience: How long a call is tried again while the service is away, in seconds.
    """

    url: str | None = None
    api_key: str | None = None
    model: str | None = None
    patience: float = 300.0

    def logprobs(self, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
        """Return the log-prob of each token of each sequence, from its start on.

        Args:
            sequences: Token ids, prompt and response in one.
            starts: For each sequence, the index of the first token whose log-prob is wanted, at least 1.

        Returns:
            For each sequence float `[len(sequence) - start]`, natural logarithms.

        Raises:
            BadInput: A start leaves nothing to score.
            TokenRewardError: The service refuses the call, or cannot be reached.
        """
        for number, (ids, start) in enumerate(zip(sequences, starts, strict=True)):
            if not 1 <= start < len(ids):
                raise BadInput(f"sequence {number} has {len(ids)} tokens, and its start is {start}; it is 1 or more")
        connection = Connection(client_settings(url=self.url, api_key=self.api_key, patience=self.patience))
        try:
            found: list[list[float]] = []
            for at in range(0, len(sequences), _AT_ONCE):
                found += self._some(connection, sequences[at : at + _AT_ONCE], starts[at : at + _AT_ONCE])
            return found
        finally:
            connection.close()

    def _some(
        self, connection: Connection, sequences: Sequence[Sequence[int]], starts: Sequence[int]
    ) -> list[list[float]]:
        body = {"model": self.model, "prompt": [list(ids) for ids in sequences], "max_tokens": 1, "prompt_logprobs": 0}
        request = Request(
            "POST",
            "/v1/completions",
            headers={"content-type": JSON},
            body=json.dumps(body).encode(),
            wait=_WAIT_SECONDS,
        )
        choices: list[Any] = json.loads(connection.send(request).body)["choices"]
        return [
            [choice["prompt_logprobs"][place][str(ids[place])]["logprob"] for place in range(start, len(ids))]
            for choice, ids, start in zip(choices, sequences, starts, strict=True)
        ]
