"""The async client, `tokenreward.AsyncClient`: the twin of `client`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from tokenreward.http import endpoints, operations, responses
from tokenreward.http.async_adapters import AsyncAdapters
from tokenreward.http.async_connection import AsyncConnection
from tokenreward.http.async_jobs import AsyncJobs
from tokenreward.http.client import LABEL_ITEMS
from tokenreward.http.item_encoding import ItemLike, item_lines
from tokenreward.http.trouble import OnTrouble
from tokenreward.schema import (
    TOP_K,
    AuditVerdict,
    EstimatorInfo,
    Include,
    Job,
    JobOptions,
    LabelResponse,
    ModelInfo,
    Pool,
    PoolBy,
    Rendered,
    Template,
)
from tokenreward.settings import ClientSettings, client_settings


class AsyncClient:
    """A connection to a tokenreward service, for asyncio.

        async with AsyncClient() as client:
            answer = await client.label([{"prompt": "What is 2+2?", "response": "2+2 equals 5."}])

    Its arguments, methods and exceptions are those of `Client`.

    Attributes:
        settings: The settings in use.
        jobs: Methods for work that is too large for one request.
        adapters: Methods for the adapters of served models.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | None = None,
        patience: float | None = None,
        settings: ClientSettings | None = None,
        on_trouble: OnTrouble | None = None,
    ) -> None:
        self.settings = settings or client_settings(url=url, api_key=api_key, timeout=timeout, patience=patience)
        self._connection = AsyncConnection(self.settings, on_trouble)
        self.jobs = AsyncJobs(self._connection)
        self.adapters = AsyncAdapters(self._connection)

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), settings=self.settings), ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    async def label(
        self,
        items: Iterable[ItemLike],
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
        wait: float = 10.0,
        timeout: float | None = None,  # noqa: ASYNC109 (the job's, not the call's)
    ) -> LabelResponse:
        """Return the rewards of these items, in their order, as `Client.label` does."""
        options = endpoints.job_options(
            model, template, estimator, parameters, pool, pool_by, include, top_k, strict, models
        )
        return responses.checked(await self.answer_to(item_lines(items), options, wait, timeout), strict)

    async def answer_to(
        self,
        lines: Sequence[bytes],
        options: JobOptions,
        wait: float = 10.0,
        timeout: float | None = None,  # noqa: ASYNC109 (the job's, not the call's)
    ) -> LabelResponse:
        """Return what `Client.answer_to` returns."""
        if len(lines) > LABEL_ITEMS:
            made = await self.jobs.submit(lines, options)
            answer: LabelResponse | Job = await self.jobs.wait(made.id, timeout)
        else:
            request = endpoints.label(lines, options, wait, uuid.uuid4().hex, timeout)
            answer = await self._connection.run(operations.label_now(request, timeout, self.settings.patience))
        if isinstance(answer, Job):
            job = responses.successful(answer)
            results = [result async for result in self.jobs.results(job.id, follow=False)]
            answer = LabelResponse(job=job, results=results, provenance=job.provenance)
        return answer

    async def render(self, item: ItemLike, template: str | Template = "revision") -> Rendered:
        """Return the text of every branch for one item, before the model's chat template."""
        return responses.read(Rendered, await self._connection.send(endpoints.render(item, template)))

    async def models(self) -> list[ModelInfo]:
        """Return the models that workers serve or have served."""
        return responses.models(await self._connection.send(endpoints.get("/v1/models")))

    async def templates(self) -> list[Template]:
        """Return the templates that the service knows by name."""
        return responses.templates(await self._connection.send(endpoints.get("/v1/templates")))

    async def estimators(self) -> list[EstimatorInfo]:
        """Return the estimators that the service knows."""
        return responses.estimators(await self._connection.send(endpoints.get("/v1/estimators")))

    async def tokens_per_second(self, model: str | None = None) -> float | None:
        """Return the speed that live workers have measured, all of them together, or None before there is one.

        It counts every branch of every response in full, as a scorer without a prefix cache reads them.

        Args:
            model: Only of workers that serve this, a name or `name@fingerprint`.
        """
        return responses.tokens_per_second(await self._connection.send(endpoints.get("/v1/workers")), model)

    async def keep_verdicts(self, verdicts: Sequence[AuditVerdict]) -> None:
        """Leave what an audit found with the service, as `Client.keep_verdicts` does."""
        await self._connection.send(endpoints.keep_verdicts(verdicts))

    async def health(self) -> str:
        """Return "ok" if the service answers, as `Client.health` does."""
        return responses.health(await self._connection.send(endpoints.get("/healthz")))
