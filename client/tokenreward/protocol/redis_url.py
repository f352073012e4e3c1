"""The store's address: a server's own, or that of the Sentinels which know the server.

An address that could never work stops the start, not the first request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr
from pydantic_core import PydanticCustomError
from redis.connection import parse_url

_parse: Callable[[str], dict[str, Any]] = parse_url
#: The schemes of Sentinels, and the one that a server has whose connections are made in the same way.
_SENTINEL_SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_SENTINEL_PORT = 26379


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """Where Sentinels are, and what they are asked for.

    Attributes:
        sentinels: (host, port) of each.
        name: The master name under which they watch the store.
        options: redis-py's options for connections to the store.
        sentinel_options: And for those to the Sentinels.
    """

    sentinels: tuple[tuple[str, int], ...]
    name: str
    options: dict[str, Any]
    sentinel_options: dict[str, Any]


def uses_sentinel(url: str) -> bool:
    """Whether an address names Sentinels rather than a server."""
    return urlsplit(url).scheme in _SENTINEL_SCHEMES


def parse_sentinel_url(url: str) -> SentinelUrl:
    """Read `redis+sentinel://user:password@host:26379,host:26379/NAME/DB?option=value`.

    User, password and options are for the store. `sentinel_username` and `sentinel_password` among the options are for
    the Sentinels. With `rediss+sentinel`, all of them are reached through TLS.

    Raises:
        ValueError: It is none.
    """
    parts = urlsplit(url)
    who, at, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    if not name or not (database or "0").isdecimal():
        raise ValueError("the path is not /NAME or /NAME/DB")
    sentinels = tuple(_host_and_port(host) for host in hosts.split(","))
    # Its own parser reads the rest, so that every option of a server's address means the same here.
    server = f"{who}{at}localhost"
    options = _parse(urlunsplit((_SENTINEL_SCHEMES[parts.scheme], server, f"/{database or 0}", parts.query, "")))
    for replaced in ("host", "connection_class"):
        options.pop(replaced, None)
    credentials = {
        option: value for option in ("username", "password") if (value := options.pop(f"sentinel_{option}", None))
    }
    options["ssl"] = _SENTINEL_SCHEMES[parts.scheme] == "rediss"
    shared = {option: value for option, value in options.items() if option.startswith(("ssl", "socket_"))}
    return SentinelUrl(sentinels, name, options, shared | credentials)


def check_redis_url(url: SecretStr | None) -> SecretStr | None:
    """Return the address itself, if it can be parsed.

    Raises:
        pydantic_core.PydanticCustomError: It cannot. The message shows nothing of it, since there is a password in it.
    """
    if url is not None:
        address = url.get_secret_value()
        try:
            (parse_sentinel_url if uses_sentinel(address) else _parse)(address)
        except ValueError:
            why = (
                "Should be redis://, rediss:// or unix://, or redis+sentinel://HOST:26379,HOST:26379/MASTER_NAME, with "
                "%XX for what is special in the password"
            )
            raise PydanticCustomError("redis_url", why) from None
    return url


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("a Sentinel has no host")
    return parts.hostname, parts.port or _SENTINEL_PORT
