"""Whether a background task is still wanted, for loops that carry on after errors."""

from __future__ import annotations

import asyncio


def wanted() -> bool:
    """Whether nobody has asked the running task to end.

    A cancellation can be lost on its way. If a command to Redis fails while it is being cancelled, its error may be
    raised in place of the cancellation. A loop that logs errors and carries on would then never end, and neither
    would the service that waits for it.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()
