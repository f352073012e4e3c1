"""The check of the store's address, so that an address that could never work stops the start, not the first request."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr
from pydantic_core import PydanticCustomError
from redis.connection import parse_url

_parse: Callable[[str], object] = parse_url


def check_redis_url(url: SecretStr | None) -> SecretStr | None:
    """Return the address itself, if it can be parsed.

    Raises:
        pydantic_core.PydanticCustomError: It cannot. The message shows nothing of it, since there is a password in it.
    """
    if url is not None:
        try:
            _parse(url.get_secret_value())
        except ValueError:
            why = "Should be redis://, rediss:// or unix://, with %XX for what is special in the password"
            raise PydanticCustomError("redis_url", why) from None
    return url
