"""What the streamed answers share: their media type in OpenAPI, and a first chunk before the status is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

TEXT: dict[str, Any] = {"type": "string"}


async def begun(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same body with its first piece made, so that an error in it can still become a problem.

    Raises whatever the first piece raises.
    """
    first = await anext(body)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in body:
            yield piece

    return whole()
