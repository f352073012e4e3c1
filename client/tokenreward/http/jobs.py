"""`client.jobs`: creating, following and steering jobs with the sync client."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping

import httpx2
from pydantic import ValidationError

from tokenreward.http import endpoints, operations, responses
from tokenreward.http.connection import Connection
from tokenreward.http.exchange import Reply
from tokenreward.http.item_encoding import ItemLike
from tokenreward.http.pagination import JobPages
from tokenreward.http.result_stream import ResultsCursor, unreadable
from tokenreward.http.transport import broken
from tokenreward.http.upload import JobBody
from tokenreward.schema import TOP_K, Include, ItemResult, Job, JobOptions, Origin, Pool, PoolBy, Template


class Jobs:
    """`client.jobs`: for work that is too large for one request.

    Every method raises ConnectionFailed if the service cannot be reached, and Rejected or Unavailable if it refuses.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
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
        idempotency_key: str | None = None,
        origin: Origin | None = None,
    ) -> Job:
        """Create a job. Once this returns, the service has it on disk.

        Args:
            items: The responses to label, from any iterable. They go through a temporary file, not through memory.
            model: A served model's name, or `name@fingerprint` to insist on one worker set-up. None means the only
                model that is served.
            template: A shipped template's name, or a template of your own. None means the estimator's own.
            estimator: A shipped estimator's name.
            parameters: Parameters of the estimator that take another value than their default.
            pool: Give every token of a word, sentence, line, step or span of the item's own the segment's reward.
            pool_by: A segment's reward is the `mean`, the `min` or the `sum` of its tokens' rewards.
            include: What the results hold beside token ids and rewards.
            top_k: How many of the most likely ids they hold at each token, if `include` names `top`; at most 128.
            models: What scores a branch, by its name or by the name that the template has for its model: an adapter
                (`name` or `name@version`), or another served model.
            strict: Refuse the whole job if any item is wrong.
            idempotency_key: The same key with the same items gives the same job. By default every call makes a new one.
            origin: What the items are from, for lists of jobs.

        Returns:
            The job's first snapshot.

        Raises:
            BadInput: There are no items, or an option has no meaning.
        """
        options = endpoints.job_options(
            model, template, estimator, parameters, pool, pool_by, include, top_k, strict, models
        )
        return self.submit(items, options.model_copy(update={"origin": origin}), idempotency_key)

    def submit(self, items: Iterable[ItemLike], options: JobOptions, idempotency_key: str | None = None) -> Job:
        """Create a job, as `create` does, with options that are checked already."""
        with JobBody(options) as body:
            filled = body.fill(items)
            key = idempotency_key or uuid.uuid4().hex
            reply = self._connection.send(endpoints.create_job(filled, body.media_type, options, key))
            return responses.read(Job, reply)

    def get(self, job_id: str) -> Job:
        """Return the job as it is now."""
        return responses.read(Job, self._connection.send(endpoints.job(job_id)))

    def list(self, limit: int | None = None) -> Iterator[Job]:
        """Yield your jobs, newest first, at most `limit`."""
        pages = JobPages(limit)
        while (request := pages.request()) is not None:
            yield from pages.read(self._connection.send(request))

    def cancel(self, job_id: str) -> Job:
        """Stop the job. Items that are finished keep their rewards."""
        return responses.read(Job, self._connection.send(endpoints.cancel(job_id)))

    def retry(self, job_id: str) -> Job:
        """Score the failed items of the job again.

        A job that waits for a set-up which nobody serves (`job.waiting`) is pinned to another one of its model, if
        none of its items has rewards yet.
        """
        return responses.read(Job, self._connection.send(endpoints.retry(job_id)))

    def delete(self, job_id: str) -> None:
        """Remove the job with all its items and results."""
        self._connection.send(endpoints.delete(job_id))

    def empty(self, job_id: str) -> None:
        """Remove the items and results of a job that is over. Its record stays, and says what was labeled and when."""
        self._connection.send(endpoints.empty(job_id))

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Return the job once it is over, however it ended.

        Raises:
            WaitTimeout: The job was not over after `timeout` seconds. It goes on.
        """
        return self._connection.run(operations.wait_for_job(job_id, timeout, self._connection.settings.patience))

    def results(self, job_id: str, from_: int = 0, *, follow: bool = True) -> Iterator[ItemResult]:
        """Yield the results in input order. A broken connection is taken up again where it broke.

        Args:
            job_id: The job.
            from_: The index of the first item wanted.
            follow: Go on until the job is over. Otherwise only the results that are there now are yielded.
        """
        settings = self._connection.settings
        cursor = ResultsCursor(job_id, from_, follow, settings.patience)
        while not cursor.finished:
            try:
                with self._connection.stream(cursor.request()) as response:
                    if response.status_code == 200:
                        self._connection.trouble.over()
                        for block in response.iter_bytes():
                            yield from cursor.feed(block)
                        pause = cursor.ended()
                    else:
                        reply = Reply(response.status_code, response.headers, response.read())
                        pause = cursor.refused(reply)
                        self._connection.trouble.met(str(responses.refusal(reply)))
            except httpx2.RequestError as error:
                outcome = broken(error, settings)
                pause = cursor.broken(outcome)
                self._connection.trouble.met(outcome.reason)
            except ValidationError as error:
                pause = cursor.broken(unreadable(error))
            time.sleep(pause)
