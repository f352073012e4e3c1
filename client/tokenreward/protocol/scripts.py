"""The Lua scripts of `lua/`, each with the shared prelude, ready for a redis-py client of either kind.

`Scripts(client)` registers them; calling one inside a pipeline works as for any registered script.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

NAMES = (
    "publish",
    "queue",
    "claim",
    "drop_stale_doorbells",
    "mark_scoring",
    "renew",
    "commit",
    "requeue",
    "split",
    "cancel",
    "retry",
    "fail",
    "purge",
)


@cache
def source(name: str) -> str:
    folder = resources.files(__package__).joinpath("lua")
    return folder.joinpath("_job_state.lua").read_text("utf-8") + folder.joinpath(f"{name}.lua").read_text("utf-8")


class Scripts:
    """Every script, registered with one redis-py client (sync or async): `await scripts.claim(args=[...])`."""

    publish: Any
    queue: Any
    claim: Any
    drop_stale_doorbells: Any
    mark_scoring: Any
    renew: Any
    commit: Any
    requeue: Any
    split: Any
    cancel: Any
    retry: Any
    fail: Any
    purge: Any

    def __init__(self, client: Any) -> None:
        for name in NAMES:
            setattr(self, name, client.register_script(source(name)))
