"""The HTTP client: one core that knows the protocol and does no I/O, and two thin shells that do the I/O.

`exchange` defines requests and replies. `endpoints` builds a request for each endpoint and `responses` reads the
replies. `item_encoding` and `upload` write items into request bodies, `pagination` walks the list of jobs, and
`result_stream` follows a result set. `retries` decides what is tried again and when, and `trouble` tells the user of
it; `operations` are the calls that take several requests, written as generators. `connection` and `async_connection`
perform them with httpx2, using the options of `transport`; `client`, `jobs`, `async_client` and `async_jobs` are the
public classes.
"""

from tokenreward.http.async_client import AsyncClient
from tokenreward.http.client import Client

__all__ = ["AsyncClient", "Client"]
