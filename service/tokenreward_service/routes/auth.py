"""Who a request is from, and what the caller may do: the dependency that every `/v1` route has."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tokenreward_service.api_keys.store import SCOPES, Scope
from tokenreward_service.problems import ProblemError
from tokenreward_service.runtime import RuntimeDep

#: The owner of every job that was sent while no key was asked for.
ANONYMOUS = "-"

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="apiKey",
    description="An API key (`tokenreward keys create`). Asked for as soon as one exists, and on every wide bind.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request.

    Attributes:
        owner: The owner of the caller's jobs: a key's id, or ANONYMOUS.
        scopes: What the caller may do.
    """

    owner: str
    scopes: frozenset[Scope]

    @property
    def manages(self) -> str | None:
        """The owner whose jobs the caller may show, cancel and delete; None for everybody's."""
        return None if self.owner != ANONYMOUS and "admin" in self.scopes else self.owner


async def caller(
    runtime: RuntimeDep, shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None
) -> Caller:
    """The caller of a request.

    Raises:
        ProblemError: 401, where a key is asked for and none, or no valid one, was shown.
    """
    if not await runtime.keyring.locked():
        return Caller(ANONYMOUS, frozenset(SCOPES))
    if shown is None:
        raise _unauthorized("This service asks for an API key: `Authorization: Bearer trk_...`.", "")
    key = await runtime.keyring.holder(shown.credentials)
    if key is None:
        raise _unauthorized("This API key is unknown or was revoked.", ', error="invalid_token"')
    return Caller(key.id, frozenset(key.scopes))


def _having(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    async def check(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if scope not in who.scopes:
            challenge = f'Bearer realm="tokenreward", error="insufficient_scope", scope="{scope}"'
            raise ProblemError(
                403, "Not allowed", f"This needs a key with scope {scope!r}.", headers={"WWW-Authenticate": challenge}
            )
        return who

    return check


#: A caller with any key.
CallerDep = Annotated[Caller, Depends(caller)]
#: A caller who may send work.
LabelerDep = Annotated[Caller, Depends(_having("label"))]
#: A caller who may change what is served.
AdminDep = Annotated[Caller, Depends(_having("admin"))]


async def metrics_reader(
    runtime: RuntimeDep, shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None
) -> None:
    """Let those pass who show the `metrics_key` of the settings, or a key with scope `admin`.

    Raises:
        ProblemError: 401 or 403 for all others.
    """
    own = runtime.settings.metrics_key
    if own is not None and shown is not None:
        given = shown.credentials.encode("utf-8", "replace")
        if hmac.compare_digest(given, own.get_secret_value().encode()):
            return
    await _having("admin")(await caller(runtime, shown))


MetricsDep = Annotated[None, Depends(metrics_reader)]


def _unauthorized(detail: str, why: str) -> ProblemError:
    return ProblemError(401, "API key needed", detail, headers={"WWW-Authenticate": f'Bearer realm="tokenreward"{why}'})
