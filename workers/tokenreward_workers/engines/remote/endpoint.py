"""One endpoint: requests to it, and whether it can be asked now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2

from tokenreward_workers.engines.remote.settings import RemoteSettings

_LONGEST_PAUSE = 30.0


class Away(Exception):
    """An endpoint cannot answer now; the same request may be sent again, to it or to another one.

    Attributes:
        seconds: When it is worth asking again; None where the endpoint does not say.
        status: The HTTP status, if there was an answer.
    """

    def __init__(self, why: str, seconds: float | None = None, status: int | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds
        self.status = status


class Refused(Exception):
    """An endpoint refuses the request itself; it would refuse it again.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Endpoint:
    """See the module. It is used in one event loop.

    Attributes:
        url: Its address.
        in_flight: Requests that it has now.
        back_at: When it may be asked again, by the loop's clock.
        away: Why it was away the last time; None if it never was.
        proved_until: Until when its tokenizer and model count as proved; 0 once it has been away.
        proving: Held while it is proved.
    """

    def __init__(self, url: str, settings: RemoteSettings) -> None:
        self.url = url.rstrip("/")
        self.in_flight = 0
        self.back_at = 0.0
        self.away: Away | None = None
        self.proved_until = 0.0
        self.proving = asyncio.Lock()
        self._failures = 0
        timeout = httpx2.Timeout(settings.timeout, connect=5.0)
        limits = httpx2.Limits(max_connections=settings.requests + 4, max_keepalive_connections=settings.requests + 4)
        self._http = httpx2.AsyncClient(headers=settings.headers, timeout=timeout, limits=limits, trust_env=False)

    async def get(self, path: str) -> Any:
        """Read a JSON document. Raises Away or Refused."""
        return await self._send("GET", path)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a request, and return the JSON of its answer. Raises Away or Refused."""
        return await self._send("POST", path, json=body)

    def rest(self, error: Away, now: float) -> None:
        """Take note that it is away: leave it alone for a while, longer each time, and prove it anew."""
        self._failures += 1
        self.away = error
        own = min(0.25 * 2**self._failures, 8.0)
        self.back_at = now + min(max(own, error.seconds or 0.0), _LONGEST_PAUSE)
        if error.seconds is None:  # else it is only busy
            self.proved_until = 0.0

    def answered(self) -> None:
        """Take note that it is there."""
        self._failures = 0

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _send(self, method: str, path: str, **content: Any) -> Any:
        try:
            answer = await self._http.request(method, self.url + path, **content)
        except httpx2.HTTPError as error:
            raise Away(f"{self.url}: {type(error).__name__} {error}".strip()) from error
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            raise Away(f"{self.url}{path} answers {answer.status_code}", _retry_after(answer), answer.status_code)
        if answer.status_code != 200:
            raise Refused(answer.status_code, f"{self.url}{path} answers {answer.status_code}: {answer.text[:300]}")
        try:
            return json.loads(answer.content)
        except ValueError as error:
            raise Away(f"{self.url}{path} answers no JSON") from error


def _retry_after(answer: httpx2.Response) -> float | None:
    given = answer.headers.get("retry-after", "")
    if given.isdigit():
        return float(given)
    return 1.0 if answer.status_code == 429 else None
