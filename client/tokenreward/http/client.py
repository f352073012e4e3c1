"""The sync client: performs what the flows ask for, with one httpx2.Client that is reused and thread-safe."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
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


class Client:
    """A connection to a tokenreward service.

        with Client() as client:
            answer = client.label([{"prompt": "What is 2+2?", "response": "2+2 equals 5."}])
            print(answer.results[0].rewards)

    Arguments left out come from `TOKENREWARD_URL`, `TOKENREWARD_API_KEY`, ... (see ClientSettings). Every call has
    timeouts, and is tried again for `patience` seconds where a second try is safe. Threads may share a client.
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
        self._http = httpx2.Client(**connection_options(self.settings))
        self.jobs = Jobs(self)

    def __reduce__(self) -> tuple[object, ...]:
        """A copy in another process (`datasets.map` makes some) has connections of its own."""
        return partial(type(self), settings=self.settings), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def label(
        self,
        items: Iterable[ItemLike],
        *,
        model: str | None = None,
        template: str | Template = "revision",
        estimator: str = "contrast",
        include: Iterable[Include] = (),
        strict: bool = False,
        wait: float = 10.0,
        timeout: float | None = None,
    ) -> LabelResponse:
        """Rewards for these items, in their order.

        An item that cannot be labeled has its reason in `error`; with `strict`, it raises (Rejected, ItemError).
        wait: seconds within one request; after that the job is followed until it is over, at most `timeout` seconds.
        Any number of items will do: beyond a few dozen they become a job, whose results are then waited for.
        """
        opts = endpoints.options(model, template, estimator, include, strict)
        lines = listings.lines(items)
        if len(lines) > listings.SMALL:
            made = self.jobs.create(
                lines, model=model, template=template, estimator=estimator, include=opts.include, strict=strict
            )
            answer: LabelResponse | Job = self.jobs.wait(made.id, timeout)
        else:
            request = endpoints.label(lines, opts, wait, uuid.uuid4().hex)
            answer = self._run(flows.label(request, timeout, self.settings.patience))
        if isinstance(answer, Job):
            job = listings.successful(answer)
            results = list(self.jobs.results(job.id, follow=False))
            answer = LabelResponse(job=job, results=results, provenance=job.provenance)
        return listings.checked(answer, strict)

    def render(self, item: ItemLike, template: str | Template = "revision") -> Rendered:
        """The text of every branch for one item, before the model's chat template."""
        return endpoints.read(Rendered, self._send(endpoints.render(item, template)))

    def models(self) -> list[ModelInfo]:
        return listings.models(self._send(endpoints.get("/v1/models")))

    def templates(self) -> list[Template]:
        return listings.templates(self._send(endpoints.get("/v1/templates")))

    def estimators(self) -> list[EstimatorInfo]:
        return listings.estimators(self._send(endpoints.get("/v1/estimators")))

    def health(self) -> str:
        """ "ok" if the service answers; otherwise ConnectionFailed or Unavailable."""
        return listings.health(self._send(endpoints.get("/healthz")))

    def _send(self, request: Request) -> Reply:
        return self._run(flows.exchange(request, self.settings.patience))

    def _run(self, flow: Flow[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = self._perform(step)

    def _perform(self, step: Request | Pause) -> Outcome:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            response = self._http.request(step.method, step.path, **request_options(self.settings, step))
        except httpx2.RequestError as error:
            return broken(error, self.settings)
        return Reply(response.status_code, response.headers, response.content)


class Jobs:
    """`client.jobs`: work too large for one request."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        items: Iterable[ItemLike],
        *,
        model: str | None = None,
        template: str | Template = "revision",
        estimator: str = "contrast",
        include: Iterable[Include] = (),
        strict: bool = False,
        idempotency_key: str | None = None,
    ) -> Job:
        """A new job; once this returns, the service has it on disk.

        Items may be any iterable: they go through a temporary file, not through memory.
        idempotency_key: the same key with the same items gives the same job. By default every call is a new job.
        """
        opts = endpoints.options(model, template, estimator, include, strict)
        with JobBody(opts) as body:
            filled = body.fill(items)
            key = idempotency_key or uuid.uuid4().hex
            return endpoints.read(Job, self._client._send(endpoints.create_job(filled, body.media_type, opts, key)))

    def get(self, job_id: str) -> Job:
        return endpoints.read(Job, self._client._send(endpoints.job(job_id)))

    def list(self, limit: int | None = None) -> Iterator[Job]:
        """Your jobs, newest first, at most `limit`."""
        pages = listings.JobPages(limit)
        while (request := pages.request()) is not None:
            yield from pages.read(self._client._send(request))

    def cancel(self, job_id: str) -> Job:
        return endpoints.read(Job, self._client._send(endpoints.cancel(job_id)))

    def retry(self, job_id: str) -> Job:
        """Scores the failed items again."""
        return endpoints.read(Job, self._client._send(endpoints.retry(job_id)))

    def delete(self, job_id: str) -> None:
        """Removes the job with all its items and results."""
        self._client._send(endpoints.delete(job_id))

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """The job once it is over, however it ended. Raises WaitTimeout after `timeout` seconds."""
        return self._client._run(flows.wait(job_id, timeout, self._client.settings.patience))

    def results(self, job_id: str, from_: int = 0, *, follow: bool = True) -> Iterator[ItemResult]:
        """The results in input order, as they come; a broken connection is taken up again where it broke.

        follow: until the job is over. Otherwise: what is there now.
        """
        client = self._client
        cursor = ResultsCursor(job_id, from_, follow, client.settings.patience)
        while not cursor.finished:
            request = cursor.request()
            try:
                with client._http.stream("GET", request.path, **request_options(client.settings, request)) as response:
                    if response.status_code == 200:
                        for block in response.iter_bytes():
                            yield from cursor.feed(block)
                        pause = cursor.ended()
                    else:
                        pause = cursor.refused(Reply(response.status_code, response.headers, response.read()))
            except httpx2.RequestError as error:
                pause = cursor.broken(broken(error, client.settings))
            except ValidationError as error:
                pause = cursor.broken(unreadable(error))
            time.sleep(pause)
