"""The client's settings, from arguments or from `TOKENREWARD_*` in the environment."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator

from tokenreward.environment import Settings
from tokenreward.errors import BadInput


class ClientSettings(Settings):
    """Where the service is and how long to wait for it. Times are seconds.

    Attributes:
        url: The service's base address.
        api_key: Sent as `Authorization: Bearer`.
        timeout: Longest silence within one request before it counts as broken.
        connect_timeout: Longest wait for a connection.
        patience: How long one call is tried again, where that is safe, while the service is away or busy.
    """

    url: str = Field(default="http://127.0.0.1:8383", description="The service's base address.")
    api_key: SecretStr | None = Field(default=None, description="Sent as `Authorization: Bearer`.")
    timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Longest silence within one request before it counts as broken."
    )
    connect_timeout: float = Field(default=5.0, gt=0, le=600, description="Longest wait for a connection.")
    patience: float = Field(
        default=15.0,
        ge=0,
        description="How long one call keeps trying again, where that is safe, while the service is away or busy.",
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is not an http:// or https:// address")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("the address must have no user, query or fragment; give a key as api_key")
        return url.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None or not key.get_secret_value():
            return None
        if not all("!" <= character <= "~" for character in key.get_secret_value()):
            raise ValueError("an API key is printable ASCII without spaces")
        return key

    @property
    def loopback(self) -> bool:
        """Whether the service is on this machine, so that a proxy from the environment must not be used."""
        host = urlsplit(self.url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def client_settings(**given: object) -> ClientSettings:
    """Return the settings. Every argument that is not None comes before the environment.

    A `timeout` that is given here limits `patience` too, unless that is set as well.

    Raises:
        BadInput: A setting is wrong.
    """
    try:
        settings = ClientSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        raise BadInput(
            f"client setting {name} (TOKENREWARD_{name.upper()}): {first['msg'].removeprefix('Value error, ')}"
        ) from None
    if given.get("timeout") is not None and "patience" not in settings.model_fields_set:
        # Whoever waits for an answer so long does not want to wait longer for tries.
        return settings.model_copy(update={"patience": min(settings.patience, settings.timeout)})
    return settings
