"""`client.jobs` of the async client: the twin of `jobs`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping

import httpx2
from pydantic import ValidationError

from tokenreward.http import endpoints, operations, responses
from tokenreward.http.async_connection import AsyncConnection
from tokenreward.http.exchange import Reply
from tokenreward.http.item_encoding import ItemLike
from tokenreward.http.pagination import JobPages
from tokenreward.http.result_stream import ResultsCursor, unreadable
from tokenreward.http.transport import broken
from tokenreward.http.upload import JobBody
from tokenreward.schema import TOP_K, Include, ItemResult, Job, JobOptions, Origin, Pool, PoolBy, Template


class AsyncJobs:
    """`client.jobs` for asyncio. Its methods are those of `Jobs`, with the same arguments and exceptions."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(
        self,
        items: Iterable[ItemLike] | AsyncIterable[ItemLike],
        *,
        model: str | None = None,
        template: str | Template | None = None,
        estimator: str = "contrast",
        parameters: Mapping[str, float] | None = None,
        pool: Pool | None = None,
        pool_by: PoolBy = "mean",
        include: Iterable[Include] = (),
        top_k: int = TOP_K,
        models: Mapping[str, str] | None = None,
        strict: bool = False,
        idempotency_key: str | None = None,
        origin: Origin | None = None,
    ) -> Job:
        """Create a job, as `Jobs.create` does. Items may come from an async iterable too."""
        options = endpoints.job_options(
            model, template, estimator, parameters, pool, pool_by, include, top_k, strict, models
        )
        return await self.submit(items, options.model_copy(update={"origin": origin}), idempotency_key)

    async def submit(
        self,
        items: Iterable[ItemLike] | AsyncIterable[ItemLike],
        options: JobOptions,
        idempotency_key: str | None = None,
    ) -> Job:
        """Create a job, as `create` does, with options that are checked already."""
        with JobBody(options) as body:
            filled = await body.fill_from(items) if isinstance(items, AsyncIterable) else body.fill(items)
            key = idempotency_key or uuid.uuid4().hex
            reply = await self._connection.send(endpoints.create_job(filled, body.media_type, options, key))
            return responses.read(Job, reply)

    async def get(self, job_id: str) -> Job:
        """Return the job as it is now."""
        return responses.read(Job, await self._connection.send(endpoints.job(job_id)))

    async def list(self, limit: int | None = None) -> AsyncIterator[Job]:
        """Yield your jobs, newest first, at most `limit`."""
        pages = JobPages(limit)
        while (request := pages.request()) is not None:
            for job in pages.read(await self._connection.send(request)):
                yield job

    async def cancel(self, job_id: str) -> Job:
        """Stop the job. Items that are finished keep their rewards."""
        return responses.read(Job, await self._connection.send(endpoints.cancel(job_id)))

    async def retry(self, job_id: str) -> Job:
        """Score the failed items of the job again.

        A job that waits for a set-up which nobody serves (`job.waiting`) is pinned to another one of its model, if
        none of its items has rewards yet.
        """
        return responses.read(Job, await self._connection.send(endpoints.retry(job_id)))

    async def delete(self, job_id: str) -> None:
        """Remove the job with all its items and results."""
        await self._connection.send(endpoints.delete(job_id))

    async def empty(self, job_id: str) -> None:
        """Remove the items and results of a job that is over, as `Jobs.empty` does."""
        await self._connection.send(endpoints.empty(job_id))

    async def wait(self, job_id: str, timeout: float | None = None) -> Job:  # noqa: ASYNC109 (the job's, not the call's)
        """Return the job once it is over, however it ended.

        Raises:
            WaitTimeout: The job was not over after `timeout` seconds. It goes on.
        """
        patience = self._connection.settings.patience
        return await self._connection.run(operations.wait_for_job(job_id, timeout, patience))

    async def results(self, job_id: str, from_: int = 0, *, follow: bool = True) -> AsyncIterator[ItemResult]:
        """Yield the results in input order, as `Jobs.results` does."""
        settings = self._connection.settings
        cursor = ResultsCursor(job_id, from_, follow, settings.patience)
        while not cursor.finished:
            try:
                async with self._connection.stream(cursor.request()) as response:
                    if response.status_code == 200:
                        self._connection.trouble.over()
                        async for block in response.aiter_bytes():
                            for result in cursor.feed(block):
                                yield result
                        pause = cursor.ended()
                    else:
                        reply = Reply(response.status_code, response.headers, await response.aread())
                        pause = cursor.refused(reply)
                        self._connection.trouble.met(str(responses.refusal(reply)))
            except httpx2.RequestError as error:
                outcome = broken(error, settings)
                pause = cursor.broken(outcome)
                self._connection.trouble.met(outcome.reason)
            except ValidationError as error:
                pause = cursor.broken(unreadable(error))
            await asyncio.sleep(pause)
