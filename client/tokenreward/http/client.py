"""The sync client, `tokenreward.Client`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from tokenreward.http import endpoints, operations, responses
from tokenreward.http.adapters import Adapters
from tokenreward.http.connection import Connection
from tokenreward.http.item_encoding import ItemLike, item_lines
from tokenreward.http.jobs import Jobs
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

#: The most items that `POST /v1/label` takes with the service's default settings. More items go through a job.
LABEL_ITEMS = 64


class Client:
    """A connection to a tokenreward service.

        with Client() as client:
            answer = client.label([{"prompt": "What is 2+2?", "response": "2+2 equals 5."}])
            print(answer.results[0].rewards)

    Every call has timeouts, and is tried again for `patience` seconds where a second try is safe. Threads may share a
    client.

    Args:
        url: The service's base address. An argument that is left out comes from the environment (`TOKENREWARD_URL`,
            `TOKENREWARD_API_KEY`, ...), see ClientSettings.
        api_key: Sent as `Authorization: Bearer`.
        timeout: Longest silence within one request, in seconds.
        patience: How long one call is tried again, in seconds; by default 15, or `timeout` if that is given and less.
        settings: All settings at once, instead of the arguments above.
        on_trouble: Called with the reason each time before a request is sent again because the service is away or busy,
            and with None once it has answered.

    Attributes:
        settings: The settings in use.
        jobs: Methods for work that is too large for one request.
        adapters: Methods for the adapters of served models.

    Raises:
        BadInput: A setting is wrong.
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
        self._connection = Connection(self.settings, on_trouble)
        self.jobs = Jobs(self._connection)
        self.adapters = Adapters(self._connection)

    def __reduce__(self) -> tuple[object, ...]:
        """Make a copy in another process (`datasets.map` makes some) open connections of its own."""
        return partial(type(self), settings=self.settings), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

    def label(
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
        timeout: float | None = None,
    ) -> LabelResponse:
        """Return the rewards of these items, in their order.

        An item that cannot be labeled has the reason in its result's `error`. Any number of items will do: beyond a few
        dozen they become a job, whose results are waited for.

        Args:
            items: The responses to label.
            model: A served model's name, or `name@fingerprint`. None means the only model that is served.
            template: A shipped template's name, or a template of your own. None means the estimator's own.
            estimator: A shipped estimator's name.
            parameters: Parameters of the estimator that take another value than their default.
            pool: Give every token of a word, sentence, line, step or span of the item's own the segment's reward.
            pool_by: A segment's reward is the `mean`, the `min` or the `sum` of its tokens' rewards.
            include: What the results hold beside token ids and rewards.
            top_k: How many of the most likely ids they hold at each token, if `include` names `top`; at most 128.
            models: What scores a branch, by its name or by the name that the template has for its model: an adapter
                (`name` or `name@version`), or another served model.
            strict: Raise if any item cannot be labeled.
            wait: Seconds that one request may take. After that the job is followed until it is over.
            timeout: Seconds for which it is followed at most.

        Raises:
            BadInput: There are no items, or an option has no meaning.
            ConnectionFailed: No answer came from the service.
            Rejected: The service refused the request, with `strict` also for a wrong item.
            ItemError: With `strict`, an item could not be labeled; without it, every item was wrong as it came.
            TypeError: `items` is one item or text, where a list is due.
            JobFailed: The job was cancelled.
            WaitTimeout: The job was not over after `timeout` seconds.
        """
        options = endpoints.job_options(
            model, template, estimator, parameters, pool, pool_by, include, top_k, strict, models
        )
        return responses.checked(self.answer_to(item_lines(items), options, wait, timeout), strict)

    def answer_to(
        self, lines: Sequence[bytes], options: JobOptions, wait: float = 10.0, timeout: float | None = None
    ) -> LabelResponse:
        """Return what `label` returns, with every item's own error, also where every item was wrong as it came.

        It is for our own hooks, which have a way of their own with an item that cannot be labeled.

        Args:
            lines: The items, one line of JSON each.
            options: How they are scored.
            wait: See `label`.
            timeout: See `label`.
        """
        if len(lines) > LABEL_ITEMS:
            made = self.jobs.submit(lines, options)
            answer: LabelResponse | Job = self.jobs.wait(made.id, timeout)
        else:
            request = endpoints.label(lines, options, wait, uuid.uuid4().hex, timeout)
            answer = self._connection.run(operations.label_now(request, timeout, self.settings.patience))
        if isinstance(answer, Job):
            job = responses.successful(answer)
            results = list(self.jobs.results(job.id, follow=False))
            answer = LabelResponse(job=job, results=results, provenance=job.provenance)
        return answer

    def render(self, item: ItemLike, template: str | Template = "revision") -> Rendered:
        """Return the text of every branch for one item, before the model's chat template."""
        return responses.read(Rendered, self._connection.send(endpoints.render(item, template)))

    def models(self) -> list[ModelInfo]:
        """Return the models that workers serve or have served."""
        return responses.models(self._connection.send(endpoints.get("/v1/models")))

    def templates(self) -> list[Template]:
        """Return the templates that the service knows by name."""
        return responses.templates(self._connection.send(endpoints.get("/v1/templates")))

    def estimators(self) -> list[EstimatorInfo]:
        """Return the estimators that the service knows."""
        return responses.estimators(self._connection.send(endpoints.get("/v1/estimators")))

    def tokens_per_second(self, model: str | None = None) -> float | None:
        """Return the speed that live workers have measured, all of them together, or None before there is one.

        It counts every branch of every response in full, as a scorer without a prefix cache reads them.

        Args:
            model: Only of workers that serve this, a name or `name@fingerprint`.
        """
        return responses.tokens_per_second(self._connection.send(endpoints.get("/v1/workers")), model)

    def keep_verdicts(self, verdicts: Sequence[AuditVerdict]) -> None:
        """Leave what an audit found with the service, whose page then says how far the labels can be trusted."""
        self._connection.send(endpoints.keep_verdicts(verdicts))

    def health(self) -> str:
        """Return "ok" if the service answers.

        Raises:
            ConnectionFailed: Nothing answers.
            Unavailable: The service answers that it cannot serve.
        """
        return responses.health(self._connection.send(endpoints.get("/healthz")))
