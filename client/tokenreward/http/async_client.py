"""The async client: the sync one's twin over httpx2.AsyncClient."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import partial
from types import TracebackType
from typing import Self

import httpx2
from pydantic import ValidationError

from tokenreward.http import endpoints, listings
from tokenreward.http import retries as flows
from tokenreward.http.endpoints import ItemLike
from tokenreward.http.exchange import Flow, Outcome, Pause, Reply, Request, T
from tokenreward.http.result_stream import ResultsCursor, unreadable
from tokenreward.http.transport import broken, connection_options, request_options
from tokenreward.http.upload import JobBody
from tokenreward.schema import (
    EstimatorInfo,
    Include,
    ItemResult,
    Job,
    LabelResponse,
    ModelInfo,
    Rendered,
    Template,
)
from tokenreward.settings import ClientSettings, client_settings


class AsyncClient:
    """A connection to a tokenreward service for asyncio; what is said of `Client` holds here too.

    async with AsyncClient() as client:
        answer = await client.label([{"prompt": "What is 2+2?", "response": "2+2 equals 5."}])
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | None = None,
        patience: float | None = None,
        settings: ClientSettings | None = None,
    ) -> None:
        self.settings = settings or client_settings(url=url, api_key=api_key, timeout=timeout, patience=patience)
        self._http = httpx2.AsyncClient(**connection_options(self.settings))
        self.jobs = AsyncJobs(self)

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), settings=self.settings), ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def label(
        self,
        items: Iterable[ItemLike],
        *,
        model: str | None = None,
        template: str | Template = "revision",
        estimator: str = "contrast",
        include: Iterable[Include] = (),
        strict: bool = False,
        wait: float = 10.0,
        timeout: float | None = None,  # noqa: ASYNC109 (the job's, not the call's)
    ) -> LabelResponse:
        """Rewards for these items, in their order. See `Client.label`."""
        opts = endpoints.options(model, template, estimator, include, strict)
        lines = listings.lines(items)
        if len(lines) > listings.SMALL:
            made = await self.jobs.create(
                lines, model=model, template=template, estimator=estimator, include=opts.include, strict=strict
            )
            answer: LabelResponse | Job = await self.jobs.wait(made.id, timeout)
        else:
            request = endpoints.label(lines, opts, wait, uuid.uuid4().hex)
            answer = await self._run(flows.label(request, timeout, self.settings.patience))
        if isinstance(answer, Job):
            job = listings.successful(answer)
            results = [result async for result in self.jobs.results(job.id, follow=False)]
            answer = LabelResponse(job=job, results=results, provenance=job.provenance)
        return listings.checked(answer, strict)

    async def render(self, item: ItemLike, template: str | Template = "revision") -> Rendered:
        """The text of every branch for one item, before the model's chat template."""
        return endpoints.read(Rendered, await self._send(endpoints.render(item, template)))

    async def models(self) -> list[ModelInfo]:
        return listings.models(await self._send(endpoints.get("/v1/models")))

    async def templates(self) -> list[Template]:
        return listings.templates(await self._send(endpoints.get("/v1/templates")))

    async def estimators(self) -> list[EstimatorInfo]:
        return listings.estimators(await self._send(endpoints.get("/v1/estimators")))

    async def health(self) -> str:
        """ "ok" if the service answers; otherwise ConnectionFailed or Unavailable."""
        return listings.health(await self._send(endpoints.get("/healthz")))

    async def _send(self, request: Request) -> Reply:
        return await self._run(flows.exchange(request, self.settings.patience))

    async def _run(self, flow: Flow[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = await self._perform(step)

    async def _perform(self, step: Request | Pause) -> Outcome:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            response = await self._http.request(
                step.method, step.path, **request_options(self.settings, step, asynchronous=True)
            )
        except httpx2.RequestError as error:
            return broken(error, self.settings)
        return Reply(response.status_code, response.headers, response.content)


class AsyncJobs:
    """`client.jobs`: work too large for one request. See `Jobs`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        items: Iterable[ItemLike] | AsyncIterable[ItemLike],
        *,
        model: str | None = None,
        template: str | Template = "revision",
        estimator: str = "contrast",
        include: Iterable[Include] = (),
        strict: bool = False,
        idempotency_key: str | None = None,
    ) -> Job:
        """A new job; items may come from an async iterable too."""
        opts = endpoints.options(model, template, estimator, include, strict)
        with JobBody(opts) as body:
            filled = await body.fill_from(items) if isinstance(items, AsyncIterable) else body.fill(items)
            key = idempotency_key or uuid.uuid4().hex
            reply = await self._client._send(endpoints.create_job(filled, body.media_type, opts, key))
            return endpoints.read(Job, reply)

    async def get(self, job_id: str) -> Job:
        return endpoints.read(Job, await self._client._send(endpoints.job(job_id)))

    async def list(self, limit: int | None = None) -> AsyncIterator[Job]:
        """Your jobs, newest first, at most `limit`."""
        pages = listings.JobPages(limit)
        while (request := pages.request()) is not None:
            for job in pages.read(await self._client._send(request)):
                yield job

    async def cancel(self, job_id: str) -> Job:
        return endpoints.read(Job, await self._client._send(endpoints.cancel(job_id)))

    async def retry(self, job_id: str) -> Job:
        """Scores the failed items again."""
        return endpoints.read(Job, await self._client._send(endpoints.retry(job_id)))

    async def delete(self, job_id: str) -> None:
        """Removes the job with all its items and results."""
        await self._client._send(endpoints.delete(job_id))

    async def wait(self, job_id: str, timeout: float | None = None) -> Job:  # noqa: ASYNC109 (the job's, not the call's)
        """The job once it is over, however it ended. Raises WaitTimeout after `timeout` seconds."""
        return await self._client._run(flows.wait(job_id, timeout, self._client.settings.patience))

    async def results(self, job_id: str, from_: int = 0, *, follow: bool = True) -> AsyncIterator[ItemResult]:
        """The results in input order, as they come. See `Jobs.results`."""
        client = self._client
        cursor = ResultsCursor(job_id, from_, follow, client.settings.patience)
        while not cursor.finished:
            request = cursor.request()
            arguments = request_options(client.settings, request, asynchronous=True)
            try:
                async with client._http.stream("GET", request.path, **arguments) as response:
                    if response.status_code == 200:
                        async for block in response.aiter_bytes():
                            for result in cursor.feed(block):
                                yield result
                        pause = cursor.ended()
                    else:
                        pause = cursor.refused(Reply(response.status_code, response.headers, await response.aread()))
            except httpx2.RequestError as error:
                pause = cursor.broken(broken(error, client.settings))
            except ValidationError as error:
                pause = cursor.broken(unreadable(error))
            await asyncio.sleep(pause)
