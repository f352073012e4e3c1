"""Any HTTP endpoint as a scorer. It is sent `{"items": [{"prompt", "response"}, ...]}` and answers `{"scores": [...]}`.

`prompt` is text or messages as in the prompts file, a score is a number or null (cannot be scored), one for each
item in order. The key in SCORER_API_KEY, if there is one, goes along as `Authorization: Bearer`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tokenreward.client.calls import Reply
from tokenreward.client.endpoints import NOT_NOW
from tokenreward.client.flows import Backoff, retry_after
from tokenreward.errors import BadInput, ConnectionFailed
from tokenreward.settings import client_settings
from tokenreward_trainer.scorers.base import Group

_KEY = "SCORER_API_KEY"
#: Responses in one request.
_BATCH = 32


@dataclass(frozen=True)
class Waiting:
    """Seconds. connect, answer: of one request.  patience: how long a batch is tried again while nobody answers."""

    connect: float = 5.0
    answer: float = 120.0
    patience: float = 60.0


class Endpoint:
    """url: http:// or https://."""

    def __init__(self, url: str, waiting: Waiting | None = None) -> None:
        parts = urlsplit(url)
        # Checks the address, and knows whether a proxy from the environment has any business with it.
        settings = client_settings(url=f"{parts.scheme}://{parts.netloc}")
        self._url = url
        self._waiting = waiting or Waiting()
        self.identity = {"scorer": "http", "url": url}
        key = os.environ.get(_KEY)
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(self._waiting.answer, connect=self._waiting.connect),
            headers={"authorization": f"Bearer {key}"} if key else {},
            trust_env=not settings.loopback,
        )

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        items = [{"prompt": group.prompt, "response": text} for group in groups for text in group.responses]
        scores: list[float | None] = []
        for start in range(0, len(items), _BATCH):
            scores += self._scores(items[start : start + _BATCH])
        found = iter(scores)
        return [[next(found) for _ in group.responses] for group in groups]

    def _scores(self, items: Sequence[dict[str, Any]]) -> list[float | None]:
        reply = self._answer(items)
        try:
            scores = reply.json()["scores"]
        except (ValueError, KeyError, TypeError):
            raise BadInput(f'{self._url} answered no {{"scores": [...]}}: {_start(reply.text)}') from None
        numbers = isinstance(scores, list) and all(s is None or type(s) in (int, float) for s in scores)
        if not numbers or len(scores) != len(items):
            raise BadInput(
                f"{self._url} did not answer one number or null for each of {len(items)} items: {_start(reply.text)}"
            )
        return [None if score is None else float(score) for score in scores]

    def _answer(self, items: Sequence[dict[str, Any]]) -> httpx2.Response:
        """Scoring is a pure function: whatever broke, it may be asked again."""
        backoff = Backoff(self._waiting.patience)
        while True:
            asked: float = 0.0
            try:
                reply = self._client.post(self._url, json={"items": list(items)})
                if reply.is_success:
                    return reply
                if reply.status_code not in NOT_NOW:
                    raise BadInput(f"{self._url} refused with HTTP {reply.status_code}: {_start(reply.text)}")
                reason = f"HTTP {reply.status_code}: {_start(reply.text)}"
                asked = retry_after(Reply(reply.status_code, reply.headers, b""))
            except httpx2.TransportError as error:
                reason = f"{type(error).__name__}: {error}"
            delay = backoff.next(asked)
            if delay is None:
                raise ConnectionFailed(
                    f"the scorer at {self._url} gave no scores within {self._waiting.patience:g} s ({reason}); "
                    "the same command goes on where it stopped"
                )
            time.sleep(delay)


def _start(text: str) -> str:
    return text.strip()[:200] or "nothing"
