"""What a user says of the endpoints that a worker scores through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tokenreward.errors import BadInput
from tokenreward_workers.settings import WireName, WorkerSettings


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Where an endpoint is, and how it is asked.

    Attributes:
        endpoints: Base addresses of servers of one and the same model.
        wire: Which of their interfaces is used.
        model: The name to ask for; None for the only one, or the first one, that the endpoint lists.
        key: The bearer token of the endpoints; None where they ask for none.
        requests: Requests that each endpoint gets at a time, at most.
        weights: The hash of the weights, if the user vouches for it; None leaves them unverified.
        timeout: Seconds without an answer after which a request counts as lost and is sent again.
        start_seconds: How long a start waits for an endpoint that is away.
    """

    endpoints: tuple[str, ...]
    wire: WireName = "vllm-generate"
    model: str | None = None
    key: str | None = None
    requests: int = 32
    weights: str | None = None
    timeout: float = 120.0
    start_seconds: float = 60.0

    @classmethod
    def of(cls, settings: WorkerSettings) -> RemoteSettings | None:
        """Return what a worker's settings say of endpoints; None for a worker with another engine.

        Raises:
            BadInput: They are wrong.
        """
        if settings.engine != "remote":
            return None
        return cls(
            endpoints=tuple(url.strip() for url in (settings.endpoint or "").split(",") if url.strip()),
            wire=settings.wire,
            model=settings.endpoint_model,
            key=settings.endpoint_key.get_secret_value() if settings.endpoint_key else None,
            requests=settings.endpoint_requests,
            weights=settings.weights_hash,
        )

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise BadInput("engine 'remote' needs the address of an endpoint: give --endpoint URL")
        for url in self.endpoints:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise BadInput(
                    f"endpoint {url!r} is no address; it reads http://HOST:PORT, with a path where there is one"
                )
            if parts.path.rstrip("/").endswith("/v1"):
                raise BadInput(f"endpoint {url!r}: leave out /v1, which the wire adds itself")

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}
