"""`client.adapters` of the async client: the twin of `adapters`."""

from __future__ import annotations

from pathlib import Path

from tokenreward.http import endpoints, responses
from tokenreward.http.async_connection import AsyncConnection
from tokenreward.schema import AdapterInfo


class AsyncAdapters:
    """`client.adapters` for asyncio. Its methods are those of `Adapters`, with the same arguments and exceptions."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, name: str, source: str | Path, *, model: str | None = None) -> AdapterInfo:
        """Make an adapter known, as `Adapters.put` does."""
        request = endpoints.put_adapter(await self._model(model), name, source)
        return responses.read(AdapterInfo, await self._connection.send(request))

    async def list(self, *, model: str | None = None) -> list[AdapterInfo]:
        """Return every version of every adapter of a model, the newest first."""
        return responses.adapters(await self._connection.send(endpoints.adapters(await self._model(model))))

    async def get(self, name: str, *, model: str | None = None) -> AdapterInfo:
        """Return the newest version of an adapter, or with `name@version` that one."""
        request = endpoints.adapter(await self._model(model), name)
        return responses.read(AdapterInfo, await self._connection.send(request))

    async def delete(self, name: str, *, model: str | None = None) -> None:
        """Take an adapter off the list, as `Adapters.delete` does."""
        await self._connection.send(endpoints.delete_adapter(await self._model(model), name))

    async def _model(self, named: str | None) -> str:
        if named is not None:
            return named
        return responses.only_model(responses.models(await self._connection.send(endpoints.get("/v1/models"))))
