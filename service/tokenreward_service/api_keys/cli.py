"""`tokenreward keys`: create, list and revoke API keys, while the service runs or before it does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenreward.arguments import Parser
from tokenreward.errors import BadInput
from tokenreward_service.api_keys.store import SCOPES, ApiKey, KeyFile


def keys(argv: list[str]) -> int:
    """Run `tokenreward keys`.

    Args:
        argv: The arguments after the command's name.

    Returns:
        The exit status.

    Raises:
        BadInput: A key cannot be made, or Redis cannot be reached.
    """
    parser = Parser(prog="tokenreward keys", description="Manage the API keys of a service.")
    where = Parser(add_help=False)
    where.add_argument("--redis-url", help="the service's Redis (default: TOKENREWARD_REDIS_URL)")
    where.add_argument("--data-dir", type=Path, help="the data folder of an embedded service, running or not")
    actions = parser.add_subparsers(dest="action", required=True, metavar="create|list|revoke")
    create = actions.add_parser("create", parents=[where], help="make a key and print it, once")
    create.add_argument("name", help="who or what uses it")
    create.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="label: send work (default); admin: metrics, all jobs",
    )
    actions.add_parser("list", parents=[where], help="list keys, without their secrets")
    revoke = actions.add_parser("revoke", parents=[where], help="end a key; it is refused within a second")
    revoke.add_argument("name", nargs="?", help="the key's name or id")
    revoke.add_argument("--forget", action="store_true", help="also remove every revoked key from the list")
    arguments = parser.parse_args(argv)
    if arguments.action == "revoke" and not (arguments.name or arguments.forget):
        parser.error("name the key to revoke")
    with _connection(arguments.redis_url, arguments.data_dir) as client:
        file = KeyFile(client)
        if arguments.action == "create":
            return _create(file, arguments.name, arguments.scope or ["label"])
        if arguments.action == "revoke":
            return _revoke(file, arguments.name, arguments.forget)
        return _list(file)


def _create(file: KeyFile, name: str, scopes: list[Any]) -> int:
    key, token = file.create(name, scopes)
    print(token)
    print(f"# key {key.name!r} ({', '.join(key.scopes)}); this is the only time it is shown", flush=True)
    return 0


def _list(file: KeyFile) -> int:
    for key in file.all():
        print(f"{key.id}  {key.name:<24} {','.join(key.scopes):<12} {_when(key)}")
    return 0


def _revoke(file: KeyFile, name: str | None, forget: bool) -> int:
    for key in file.revoke(name) if name else ():
        print(f"revoked {key.name!r} ({key.id}); its jobs go on and are kept as long as any")
    if forget:
        print(f"forgot {file.forget_revoked()} revoked keys")
    return 0


def _when(key: ApiKey) -> str:
    if key.revoked is None:
        return f"since {time.strftime('%Y-%m-%d', time.gmtime(key.created))}"
    return f"revoked {time.strftime('%Y-%m-%d', time.gmtime(key.revoked))}"


@contextlib.contextmanager
def _connection(redis_url: str | None, data_dir: Path | None) -> Iterator[Any]:
    """A client of the service's Redis. Raises BadInput if none is named or it cannot be reached."""
    import redis

    from tokenreward.protocol.connections import connect
    from tokenreward_service.embedded.valkey import reach
    from tokenreward_service.settings import ServiceSettings

    settings = ServiceSettings.read()
    with contextlib.ExitStack() as stack:
        if data_dir is not None and redis_url is None:
            url = stack.enter_context(reach(data_dir))
        elif redis_url is not None:
            url = redis_url
        elif settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
        elif settings.data_dir is not None:
            url = stack.enter_context(reach(settings.data_dir))
        else:
            raise BadInput("say which service: --redis-url, or --data-dir for one that runs its own Redis")
        client: Any = connect(url, socket_timeout=10, socket_connect_timeout=3)
        stack.enter_context(contextlib.closing(client))
        try:
            yield client
        except redis.RedisError as error:
            raise BadInput(f"cannot reach Redis: {error}") from error
