"""The async connection: it performs the same operations as the sync one, with httpx2.AsyncClient."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import httpx2

from tokenreward.http.exchange import Operation, Outcome, Pause, Reply, Request, T
from tokenreward.http.responses import NOT_NOW
from tokenreward.http.retries import send
from tokenreward.http.transport import broken, connection_options, request_options
from tokenreward.http.trouble import OnTrouble, Trouble
from tokenreward.settings import ClientSettings


class AsyncConnection:
    """A pool of connections to one service, for asyncio.

    Attributes:
        settings: Where the service is and how long to wait for it.
        trouble: What is told that a request came to nothing.
    """

    def __init__(self, settings: ClientSettings, on_trouble: OnTrouble | None = None) -> None:
        self.settings = settings
        self.trouble = Trouble(on_trouble)
        self._http = httpx2.AsyncClient(**connection_options(settings))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(self, request: Request) -> Reply:
        """Send one request, again where that is safe. See `retries.send` for what it raises."""
        return await self.run(send(request, self.settings.patience))

    async def run(self, operation: Operation[T]) -> T:
        """Perform every step of `operation` and return its result."""
        outcome: Outcome = None
        while True:
            try:
                step = operation.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = await self._perform(step)

    def stream(self, request: Request) -> AbstractAsyncContextManager[httpx2.Response]:
        """Open the answer to `request`, to be read block by block. Raises httpx2.RequestError."""
        options = request_options(self.settings, request, asynchronous=True)
        return self._http.stream(request.method, request.path, **options)

    async def _perform(self, step: Request | Pause) -> Outcome:
        if isinstance(step, Pause):
            if step.trouble is not None:
                self.trouble.met(step.trouble)
            await asyncio.sleep(step.seconds)
            return None
        options = request_options(self.settings, step, asynchronous=True)
        try:
            response = await self._http.request(step.method, step.path, **options)
        except httpx2.RequestError as error:
            return broken(error, self.settings)
        if response.status_code not in NOT_NOW:
            self.trouble.over()
        return Reply(response.status_code, response.headers, response.content)
