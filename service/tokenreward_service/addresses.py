"""Which addresses and host names mean this machine, and below which paths of a host the service may be offered."""

from __future__ import annotations

import ipaddress
import re

_MOST_CHARACTERS = 200
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
#: What our own paths begin with: below such a prefix, nobody could tell a path with it from one without.
_OWN_PATHS = frozenset(
    {"v1", "web", "docs", "redoc", "openapi.json", "healthz", "readyz", "metrics", "generate", "inference", "health"}
)


def is_loopback(host: str) -> bool:
    """Whether a bind address or a host name means this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def path_prefix(text: str) -> str:
    """A path prefix in its one form, such as `/rewards`; empty for the root.

    Raises:
        ValueError: It is none. Nothing passes that could lead to another host or out of an HTML attribute.
    """
    prefix = text.rstrip("/")
    if not prefix:
        return ""
    if len(prefix) > _MOST_CHARACTERS or not _PREFIX.fullmatch(prefix):
        raise ValueError("Should be a path such as /rewards, of letters, digits and . _ ~ -")
    if prefix.split("/")[1] in _OWN_PATHS:
        raise ValueError(f"Should not begin with /{prefix.split('/')[1]}, as paths of the service itself do")
    return prefix
