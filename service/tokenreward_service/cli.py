"""`tokenreward serve`: its options. What they start is in `serving`, which is imported once they are read."""

from __future__ import annotations

from tokenreward.arguments import Parser
from tokenreward.environment import check_names


def serve(argv: list[str]) -> int:
    """Run `tokenreward serve` until it is stopped.

    Args:
        argv: The arguments after the command's name.

    Returns:
        The exit status.

    Raises:
        BadInput: The settings cannot work on this machine.
    """
    parser = Parser(
        prog="tokenreward serve",
        description="Serve the API. Without --redis-url, a private valkey-server and one worker run beside it.",
    )
    parser.add_argument("--host", help="address to bind (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to bind; 0 picks a free one (default: 8383)")
    parser.add_argument("--redis-url", help="use this Redis, and leave the workers to `tokenreward worker`")
    parser.add_argument("--root-path", help="the path below which a reverse proxy offers the service, such as /rewards")
    parser.add_argument("--data-dir", help="keep the embedded job store here (default: thrown away at the end)")
    parser.add_argument(
        "--insecure", action="store_true", default=None, help="allow a bind beyond loopback although there are no keys"
    )
    parser.epilog = "All other options go to the embedded worker: see `tokenreward worker --help`."
    arguments, for_worker = parser.parse_known_args(argv)
    given = {k: v for k, v in vars(arguments).items() if v is not None}
    from tokenreward_service.serving import run
    from tokenreward_service.settings import ServiceSettings

    check_names()
    settings = ServiceSettings.read(**given)
    if settings.redis_url is not None and for_worker:
        parser.error(f"with --redis-url there is no embedded worker: {' '.join(for_worker)}")
    return run(settings, for_worker)
