"""Child processes that do not outlive their parent, whatever ends it.

On Linux the kernel sees to it (PR_SET_PDEATHSIG); elsewhere a thread in the child watches its parent's pid.
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
    """In a child, at its start: be sent `sig` when `parent` (a pid) ends, even by SIGKILL.

    The kernel watches the parent's *thread* that made the child: spawn from a thread that lives on.
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
