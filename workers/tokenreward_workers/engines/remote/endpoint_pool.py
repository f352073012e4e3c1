"""Several endpoints of one model: who gets the next request, and what happens while one of them is away.

A request is sent again for as long as no endpoint answers: work that was accepted is not failed because a server is
being restarted. What an endpoint refuses is not sent again, and a request that takes endpoints down time and again
fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from tokenreward_workers.engines.remote.endpoint import Away, Endpoint, Refused
from tokenreward_workers.engines.remote.endpoint_proof import EndpointProof

log = logging.getLogger(__name__)

#: How long an endpoint in use counts as proved, in seconds.
_PROVED_SECONDS = 60.0
#: How often a request may find a proved endpoint gone, or failing, before the request is to blame.
_MOST_BROKEN = 5
_LOOK_SECONDS = 0.25
_INTERNAL_ERROR, _NOT_FOUND = 500, 404


class EndpointPool:
    """Sends requests to endpoints, at most so many to each at a time.

    Args:
        endpoints: All of one model.
        requests: Requests that each may have at a time.
        proof: Proves an endpoint before it is used.

    Attributes:
        away: Requests that found an endpoint away, in all.
    """

    def __init__(self, endpoints: Sequence[Endpoint], requests: int, proof: EndpointProof) -> None:
        self.away = 0
        self._endpoints = list(endpoints)
        self._requests = requests
        self._proof = proof
        self._freed = asyncio.Event()

    @property
    def places(self) -> int:
        """Requests that all endpoints together may have."""
        return self._requests * len(self._endpoints)

    async def post(self, path: str, body: Mapping[str, Any], *, cached: bool = False) -> Any:
        """Send a request to the endpoint with the fewest, and again until one answers.

        Args:
            path: Where it goes.
            body: The request.
            cached: Whether it may read the server's cache. A 500 to such a request is not for want of a server, and is
                raised.

        Returns:
            The JSON of the answer.

        Raises:
            Refused: It is refused, or it takes endpoints down.
            BadInput: An endpoint is not what it was.
        """
        broken = 0
        while True:
            async with self._place() as endpoint:
                proved = False
                try:
                    await self._proved(endpoint)
                    proved = True
                    answer = await endpoint.post(path, body)
                except (Away, Refused) as error:
                    away = _as_away(error)
                    if away is None:
                        raise
                    if cached and away.status == _INTERNAL_ERROR:
                        raise Refused(_INTERNAL_ERROR, str(error)) from error
                    self._note(endpoint, away)
                    broken += proved and away.seconds is None
                    if broken >= _MOST_BROKEN:
                        raise Refused(500, f"asking this takes endpoints down, {broken} times: {error}") from error
                    continue
                endpoint.answered()
                return answer

    async def prove_first(self, seconds: float) -> None:
        """Prove every endpoint that is there; wait for one if there is none.

        Raises:
            Away: None answered in time.
            BadInput: One cannot be used.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            outcomes = await asyncio.gather(*map(self._proved, self._endpoints), return_exceptions=True)
            for endpoint, outcome in zip(self._endpoints, outcomes, strict=True):
                if isinstance(outcome, Away):
                    self._note(endpoint, outcome)
                elif outcome is not None:
                    raise outcome
            if None in outcomes:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise Away(f"no endpoint answered for {seconds:g} s: {outcomes[0]}")
            await asyncio.sleep(1)

    async def aclose(self) -> None:
        """Close all connections."""
        for endpoint in self._endpoints:
            await endpoint.aclose()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Endpoint]:
        """A place at the endpoint with the fewest requests, once there is one."""
        loop = asyncio.get_running_loop()
        while True:
            free = [e for e in self._endpoints if e.in_flight < self._requests and e.back_at <= loop.time()]
            if free:
                break
            self._freed.clear()
            with suppress(TimeoutError):  # an endpoint that was away comes back without a word
                await asyncio.wait_for(self._freed.wait(), _LOOK_SECONDS)
        endpoint = min(free, key=lambda one: one.in_flight)
        endpoint.in_flight += 1
        try:
            yield endpoint
        finally:
            endpoint.in_flight -= 1
            self._freed.set()

    async def _proved(self, endpoint: Endpoint) -> None:
        async with endpoint.proving:
            now = asyncio.get_running_loop().time()
            if endpoint.back_at > now and endpoint.away is not None:  # others have waited for a proof that failed
                raise Away(str(endpoint.away), endpoint.away.seconds, endpoint.away.status)
            if endpoint.proved_until <= now:
                await self._proof.prove(endpoint)
                endpoint.proved_until = now + _PROVED_SECONDS

    def _note(self, endpoint: Endpoint, error: Away) -> None:
        now = asyncio.get_running_loop().time()
        if endpoint.back_at <= now:  # the others that were under way say the same
            self.away += 1
            log.warning("endpoint away, its requests are sent again: %s", error)
            endpoint.rest(error, now)


def _as_away(error: Away | Refused) -> Away | None:
    """What says that an endpoint is away; None for what is the request's fault.

    An endpoint that has been proved and knows neither the path nor the model any more is being restarted.
    """
    if isinstance(error, Away):
        return error
    return Away(str(error), status=error.status) if error.status == _NOT_FOUND else None
