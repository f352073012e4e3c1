"""`tokenreward serve` as a child process, for the demos. It ends with the block that uses it, however that ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

from tokenreward.child_process import die_with
from tokenreward.errors import TokenRewardError


@contextlib.contextmanager
def embedded_service(arguments: Sequence[str]) -> Iterator[str]:
    """Run `tokenreward serve` on a free port for as long as the block lasts.

    Args:
        arguments: More arguments of `serve`.

    Yields:
        The service's URL, once a worker is ready.

    Raises:
        TokenRewardError: The service ended before it was ready.
    """
    command = [sys.executable, "-m", "tokenreward.cli", "serve", "--port", "0", *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=_dying_with(os.getpid())
    )
    try:
        yield _ready(process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()


def _dying_with(parent: int) -> Callable[[], None] | None:
    """Return what makes the service end with this process. Call it from a thread that lives on.

    A service that outlived this process would go on computing for nobody.
    """
    if sys.platform != "linux":
        return None  # a thread does not survive exec
    return lambda: die_with(parent)


def _ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        found = re.match(r"ready: .*, (http://\S+)$", line)
        if found:
            return found[1]
    raise TokenRewardError("the service ended before it was ready; what it said is above")
