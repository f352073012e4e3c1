"""`docs/configuration.md` from the settings classes:  python tests/deploy/configuration.py > docs/configuration.md"""

from __future__ import annotations

import sys
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from tokenreward import environment
from tokenreward.environment import PREFIX, Settings
from tokenreward.settings import ClientSettings
from tokenreward_service.settings import ServiceSettings
from tokenreward_workers.settings import WorkerSettings

COMPONENTS: dict[str, tuple[type[Settings], str]] = {
    "The service": (ServiceSettings, "`tokenreward serve` and `tokenreward keys`."),
    "A worker": (WorkerSettings, "`tokenreward worker`. `tokenreward serve` passes them on to its own worker."),
    "A client": (ClientSettings, "The Python client and every command that talks to a service."),
}

_HEAD = f"""# Configuration

Written from the settings classes by `python tests/deploy/configuration.py > docs/configuration.md`; a test keeps it
true.

A setting comes from a command-line option or an argument, where there is one; else from the environment; else from a
file of that name in lower case in the secrets folder (`/run/secrets/tokenreward_redis_url`, say), which is the place
for addresses with passwords and for keys; else it has its default. An empty variable counts as none.

The service and the workers stop at their start if a value is wrong, or if a variable or a secret file begins with
`{PREFIX}` and is in none of the tables below: a setting with a typo would otherwise be a setting that is not made.
All tables count for each of them, so that they can share one environment. A client reads its own and passes over the
others, because it lives in other people's environments.

What the compose file reads from `.env` stands in [operations.md](operations.md).
"""


def render() -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for title, (settings, what) in COMPONENTS.items():
        rows = [_row(name, field) for name, field in settings.model_fields.items()]
        parts.append(f"## {title}\n\n{what}\n\n{_table(rows)}")
    others = [(f"`{PREFIX}{name.upper()}`", "", text) for name, text in environment.OTHERS.items()]
    parts.append("## Read by themselves\n\n" + _table(others))
    return "\n".join(parts)


def _row(name: str, field: FieldInfo) -> tuple[str, str, str]:
    assert field.description, f"{name} has no description"
    limits = _limits(field)
    return f"`{PREFIX}{name.upper()}`", _default(field.default), field.description + (f" ({limits})" if limits else "")


def _default(value: Any) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _limits(field: FieldInfo) -> str:
    found = [
        f"{sign} {getattr(bound, name)}" for bound in field.metadata for name, sign in _SIGNS if hasattr(bound, name)
    ]
    choices = get_args(field.annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        found.append(", ".join(choices))
    if SecretStr in choices:
        found.append("secret")
    return "; ".join(found)


_SIGNS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| variable | default | what it says |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {default} | {text} |" for name, default, text in rows]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
