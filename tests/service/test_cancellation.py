"""A loop that carries on after errors ends although its cancellation was lost."""

from __future__ import annotations

import asyncio

import redis

from tokenreward_service.cancellation import wanted
from tokenreward_service.recovery.reconciler import Reconciler


class SwallowingLock:
    """A lock of which a cancelled command raises a connection error in place of the cancellation."""

    async def acquire(self) -> bool:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise redis.ConnectionError("closed while it was in use") from None
        return False


def test_a_task_is_wanted_until_somebody_cancels_it() -> None:
    async def lost() -> list[bool]:
        seen = [wanted()]
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(wanted())
        return seen

    async def main() -> list[bool]:
        task = asyncio.create_task(lost())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(main()) == [True, False]


def test_the_reconciler_ends_although_its_cancellation_became_a_connection_error() -> None:
    async def main() -> bool:
        reconciler = Reconciler.__new__(Reconciler)
        reconciler._every = 0.0
        reconciler._redis = type("Client", (), {"lock": lambda self, *_, **__: SwallowingLock()})()
        task = asyncio.create_task(reconciler.run())
        await asyncio.sleep(0.05)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        for left in {task} - done:  # so that a loop that does not end fails the test and does not hang it
            left.cancel()
        return bool(done)

    assert asyncio.run(main())
