"""The options that the sync and the async connection give to httpx2, and what httpx2's errors mean."""

from __future__ import annotations

import math
import sys
from importlib.metadata import version
from typing import Any

import httpx2

from tokenreward.http.exchange import Broken, Request, SpooledBody
from tokenreward.settings import ClientSettings


def connection_options(settings: ClientSettings) -> dict[str, Any]:
    """Return the arguments for httpx2's clients.

    A proxy named in the environment is ignored for a service on this machine.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    headers = {"user-agent": f"tokenreward/{version('tokenreward')} python/{python}"}
    if settings.api_key is not None:
        headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    return {
        "base_url": settings.url,
        "headers": headers,
        "timeout": _timeout(settings, 0.0, None),
        "limits": httpx2.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=30.0),
        "trust_env": not settings.loopback,
    }


def request_options(settings: ClientSettings, request: Request, *, asynchronous: bool = False) -> dict[str, Any]:
    """Return the arguments for `request()` and `stream()` of httpx2's clients."""
    headers = dict(request.headers)
    content: Any = request.body
    if isinstance(request.body, SpooledBody):
        headers["content-length"] = str(request.body.length)
        content = request.body.ablocks() if asynchronous else request.body.blocks()
    return {
        "params": list(request.params) or None,
        "headers": headers,
        "content": content,
        "timeout": _timeout(settings, request.wait, request.within),
    }


def broken(error: httpx2.RequestError, settings: ClientSettings) -> Broken:
    """Describe an error of httpx2, and whether the server may have seen the request."""
    unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.ProxyError)
    what = str(error) or type(error).__name__
    if isinstance(error, httpx2.TimeoutException):
        what = f"no answer in time ({type(error).__name__})"
    return Broken(f"{settings.url}: {what}", sent=not unsent)


def _timeout(settings: ClientSettings, wait: float, within: float | None) -> httpx2.Timeout:
    most = math.inf if within is None else within
    connect, silence = min(settings.connect_timeout, most), min(settings.timeout, most)
    return httpx2.Timeout(silence, connect=connect, read=min(settings.timeout + wait, most))
