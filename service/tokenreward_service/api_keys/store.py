"""API keys at rest: what is stored of a key, how one is made, checked and revoked.

A token is `trk_{id}_{secret}` with a secret of 256 random bits. Redis holds its sha256 and nothing that leads back to
it. A slow hash (bcrypt, argon2) is for passwords, which can be guessed; 2^256 cannot, however fast one hash is, and a
slow one would let anybody burn our CPU with wrong tokens.

A revoked key stays on record: revoking the last one locks the service, it does not open it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from tokenreward.errors import BadInput, UnknownName
from tokenreward.protocol import keys
from tokenreward.protocol.records import Corrupt, parse_record

#: label: send work and see one's own jobs.  admin: see `/metrics`, and show, cancel or delete any job by its id.
Scope = Literal["label", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_FRESH_SECONDS = 1.0


class ApiKey(BaseModel):
    """A key as Redis holds it.

    Attributes:
        id: Part of the token, and the owner of the jobs that are sent with it.
        name: What people call it.
        scopes: What it allows.
        sha256: Hash of the whole token, in hex.
        created: When it was made, in Unix seconds.
        revoked: When it was revoked, in Unix seconds; None while it is valid.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    scopes: list[Scope]
    sha256: str
    created: float
    revoked: float | None = None


class KeyFile:
    """The keys in one Redis, for the command that manages them. client: a sync redis-py client."""

    def __init__(self, client: Any) -> None:
        self._redis = client

    def all(self) -> list[ApiKey]:
        """All keys, oldest first, revoked ones included. Raises Corrupt."""
        found = [parse_record(ApiKey, text) for text in self._redis.hvals(keys.API_KEYS)]
        return sorted(found, key=lambda key: key.created)

    def create(self, name: str, scopes: Sequence[Scope]) -> tuple[ApiKey, str]:
        """Make a key.

        Args:
            name: 1 to 64 letters, digits and any of `_.@-`, not the name of a live key.
            scopes: What it allows.

        Returns:
            The key and its token, which cannot be looked up again.

        Raises:
            BadInput: The name has another form, or a live key has it.
        """
        if not _NAME.fullmatch(name):
            raise BadInput(f"a key's name is 1 to 64 letters, digits and any of _.@- , not {name!r}")
        if any(key.name == name and key.revoked is None for key in self.all()):
            raise BadInput(f"there is a key named {name!r} already; revoke it first, or choose another name")
        key_id = secrets.token_hex(6)
        token = f"trk_{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(id=key_id, name=name, scopes=list(scopes), sha256=_sha256(token), created=time.time())
        self._redis.hset(keys.API_KEYS, key_id, key.model_dump_json())
        return key, token

    def revoke(self, name: str) -> list[ApiKey]:
        """Revoke the live keys of that name or id.

        Returns:
            The keys that were revoked.

        Raises:
            UnknownName: There is no such key.
        """
        live = [key for key in self.all() if key.revoked is None]
        found = [key for key in live if name in (key.name, key.id)]
        if not found:
            raise UnknownName("key", name, [key.name for key in live])
        for key in found:
            revoked = key.model_copy(update={"revoked": time.time()})
            self._redis.hset(keys.API_KEYS, key.id, revoked.model_dump_json())
        return found

    def forget_revoked(self) -> int:
        """Remove the records of revoked keys. Without any record, a service on loopback asks for no key.

        Returns:
            How many were removed.
        """
        gone = [key.id for key in self.all() if key.revoked is not None]
        return int(self._redis.hdel(keys.API_KEYS, *gone)) if gone else 0


class KeyRing:
    """Checks tokens. A change of the keys is noticed within a second. No token passes while Redis cannot be reached.

    Args:
        redis: Async client.
        required: Ask for a key even where none was ever made.
    """

    def __init__(self, redis: Any, *, required: bool) -> None:
        self._redis = redis
        self._required = required
        self._read = -_FRESH_SECONDS
        self._records: dict[str, bytes] = {}

    async def locked(self) -> bool:
        """Whether a key must be shown."""
        await self._refresh()
        return self._required or bool(self._records)

    async def holder(self, token: str) -> ApiKey | None:
        """The live key that this token is, or None."""
        await self._refresh()
        key_id = token.removeprefix("trk_").partition("_")[0]
        record = self._records.get(key_id)
        if record is None:
            return None
        try:
            key = parse_record(ApiKey, record)
        except Corrupt:
            return None
        matches = hmac.compare_digest(_sha256(token), key.sha256)
        return key if matches and key.revoked is None and key.id == key_id else None

    async def _refresh(self) -> None:
        if time.monotonic() - self._read < _FRESH_SECONDS:
            return
        stored = await self._redis.hgetall(keys.API_KEYS)
        self._records = {name.decode("utf-8", "replace"): text for name, text in stored.items()}
        self._read = time.monotonic()


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
