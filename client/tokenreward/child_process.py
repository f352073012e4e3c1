"""Child processes that do not outlive their parent, whatever ends it.

On Linux the kernel sees to that (PR_SET_PDEATHSIG); elsewhere a thread in the child watches its parent's pid.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1


def die_with(parent: int, sig: int = signal.SIGKILL) -> None:
    """Have this process receive a signal when its parent ends, even by SIGKILL. Call it in a child, at its start.

    On Linux the kernel watches the parent's thread that made the child, so spawn it from a thread that lives on.

    Args:
        parent: The parent's pid.
        sig: The signal.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, sig, 0, 0, 0)
        if os.getppid() != parent:  # it was gone before we asked
            os.kill(os.getpid(), sig)
    else:
        threading.Thread(target=_watch, args=(parent, sig), daemon=True, name="parent-watch").start()


def _watch(parent: int, sig: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), sig)
