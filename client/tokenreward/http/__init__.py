"""The HTTP client: one core that knows the protocol and does no I/O, and two thin shells around it.

`calls` says what a request and its answer are, `endpoints` builds requests and reads answers, `flows` are the
operations of several steps (retries, waiting, labeling) as generators, `stream` follows a result set. `sync`
and `aio` do what the flows ask for, with httpx2.
"""

from tokenreward.http.async_client import AsyncClient
from tokenreward.http.client import Client

__all__ = ["AsyncClient", "Client"]
