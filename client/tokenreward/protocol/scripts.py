"""The Lua scripts of `lua/`, ready for a redis-py client of either kind.

Each script gets the names of its keys (`keys.lua`), the order of the queue (`lua/_turns.lua`) and the shared state
machine (`lua/_job_transitions.lua`) in front.
`Scripts(client)` registers them; calling one inside a pipeline works as for any registered script.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

from tokenreward.protocol import keys

NAMES = (
    "publish",
    "queue",
    "claim",
    "drop_stale_doorbells",
    "mark_scoring",
    "renew",
    "commit",
    "pass_on",
    "requeue",
    "split",
    "cancel",
    "retry",
    "pin_anew",
    "empty",
    "purge",
)

_IN_FRONT = ("_turns", "_job_transitions")
_KEY_NAME = re.compile(r"\btr\.(\w+)")


@cache
def source(name: str) -> str:
    """The whole text of a script, as Redis gets it."""
    folder = resources.files(__package__).joinpath("lua")
    code = "".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in (*_IN_FRONT, name))
    return keys.lua(set(_KEY_NAME.findall(code))) + code


class Scripts:
    """Every script, registered with one redis-py client (sync or async): `await scripts.claim(args=[...])`.

    What each script does, takes and returns stands at the top of its file in `lua/`.
    """

    publish: Any
    queue: Any
    claim: Any
    drop_stale_doorbells: Any
    mark_scoring: Any
    renew: Any
    commit: Any
    pass_on: Any
    requeue: Any
    split: Any
    cancel: Any
    retry: Any
    pin_anew: Any
    empty: Any
    purge: Any

    def __init__(self, client: Any) -> None:
        for name in NAMES:
            setattr(self, name, client.register_script(source(name)))
