"""JSON to an HTTP endpoint of somebody else, asked again while it is busy or away."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tokenreward.errors import BadInput, ConnectionFailed
from tokenreward.http.exchange import Reply
from tokenreward.http.responses import NOT_NOW
from tokenreward.http.retries import Backoff, retry_after
from tokenreward.settings import client_settings

#: A question may be asked again after any answer that is about the server and not about the question.
_NOT_NOW = NOT_NOW | {408, 500}


@dataclass(frozen=True)
class Waiting:
    """How long to wait for an endpoint, in seconds.

    Attributes:
        connect: For the connection of one request.
        answer: For the answer to one request.
        patience: How long one request is tried again while nobody answers.
    """

    connect: float = 5.0
    answer: float = 120.0
    patience: float = 60.0


class Poster:
    """Posts questions to one address. It may be used from many threads.

    A question may be posted twice, so posting it must change nothing at the other end.

    Args:
        url: An http:// or https:// address.
        key: The environment variable whose value goes along as `Authorization: Bearer`.
        who: Names the endpoint in messages, as in "the scorer".
        what: Names what it should give, as in "scores".
        waiting: How long to wait; None is the defaults.
    """

    def __init__(self, url: str, key: str, who: str, what: str, waiting: Waiting | None = None) -> None:
        parts = urlsplit(url)
        # Checks the address, and knows whether a proxy from the environment has any business with it.
        settings = client_settings(url=f"{parts.scheme}://{parts.netloc}")
        self._url, self._key, self._who, self._what = url, key, who, what
        self._waiting = waiting or Waiting()
        token = os.environ.get(key)
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(self._waiting.answer, connect=self._waiting.connect),
            headers={"authorization": f"Bearer {token}"} if token else {},
            trust_env=not settings.loopback,
        )

    def post(self, content: Any) -> httpx2.Response:
        """Posts JSON until there is a successful reply.

        Raises:
            BadInput: The endpoint refuses.
            ConnectionFailed: It gives no answer in time.
        """
        backoff: Backoff | None = None
        while True:
            asked: float = 0.0
            try:
                reply = self._client.post(self._url, json=content)
                if reply.is_success:
                    return reply
                if reply.status_code not in _NOT_NOW:
                    raise BadInput(self._refusal(reply))
                reason = f"HTTP {reply.status_code}: {start_of(reply.text)}"
                asked = retry_after(Reply(reply.status_code, reply.headers, b""))
            except httpx2.RequestError as error:
                reason = f"{type(error).__name__}: {error}"
            # Patience begins with the first failure: one answer may take longer than it.
            backoff = backoff or Backoff(self._waiting.patience)
            delay = backoff.next(asked)
            if delay is None:
                raise ConnectionFailed(
                    f"{self._who} at {self._url} gave no {self._what} within {self._waiting.patience:g} s ({reason}); "
                    "the same command goes on where it stopped"
                )
            time.sleep(delay)

    def _refusal(self, reply: httpx2.Response) -> str:
        said = f"{self._url} refused with HTTP {reply.status_code}: {start_of(reply.text)}"
        if reply.status_code not in (401, 403):
            return said
        sent = "was sent" if os.environ.get(self._key) else "is not set"
        return f"{said}; the key in the environment variable {self._key} {sent}"


def start_of(text: str) -> str:
    """Returns the start of a reply's text, for a message."""
    return text.strip()[:200] or "nothing"
