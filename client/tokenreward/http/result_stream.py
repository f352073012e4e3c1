"""Following a result set without I/O: the reader's place, the next request, and what to do when a connection breaks."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from tokenreward.errors import ConnectionFailed
from tokenreward.http import endpoints, responses
from tokenreward.http.exchange import Broken, Reply, Request
from tokenreward.http.retries import Backoff, may_try_again, retry_after
from tokenreward.schema import ItemResult, ResultsEnd

#: Seconds for which the server holds one request for results that are not there yet.
FOLLOW_WAIT = 10.0


class ResultsCursor:
    """One reader's place in a job's results.

    The caller asks for `request`, passes every block of the answer to `feed`, and reports how the answer ended with
    `ended`, `refused` or `broken`. These return the seconds to pause before the next request. Every result comes once
    and in order, however often the connection breaks.

    Attributes:
        next: The index of the next item.
        finished: Whether there is nothing more to ask for.
    """

    def __init__(self, job_id: str, start: int, follow: bool, patience: float) -> None:
        self.next = start
        self.finished = False
        self._job_id = job_id
        self._follow = follow
        self._backoff = Backoff(patience)
        self._rest = b""
        self._end: ResultsEnd | None = None

    def request(self) -> Request:
        """Return the request for the results from `next` on."""
        self._rest, self._end, self._asked_from = b"", None, self.next
        return endpoints.results(self._job_id, self.next, FOLLOW_WAIT if self._follow else 0.0)

    def feed(self, block: bytes) -> Iterator[ItemResult]:
        """Yield the results that `block` completes.

        Only a line feed ends a line, because JSON may contain the other line separators.

        Raises:
            ConnectionFailed: The results are out of order.
            pydantic.ValidationError: A line is not a result.
        """
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            if not line.strip():
                continue
            if line.startswith(b'{"next"'):
                self._end = ResultsEnd.model_validate_json(line, extra="ignore")
                continue
            result = ItemResult.model_validate_json(line, extra="ignore")
            if result.index != self.next:
                raise ConnectionFailed(f"results came out of order: item {result.index} where {self.next} was due")
            self.next += 1
            yield result

    def ended(self) -> float:
        """Note that the answer is over, and return the seconds to pause."""
        if self._end is None or self._rest.strip():
            return self.broken(Broken("the results broke off in the middle", sent=True))
        self.finished = self._end.complete or not self._follow
        progress = self.next > self._asked_from
        if progress:
            self._backoff.reset()
        return 0.0 if progress or self.finished else 0.2  # a server that does not wait must not be hammered

    def refused(self, reply: Reply) -> float:
        """Note an answer other than 200, and return the seconds to pause.

        Raises:
            Rejected: The service refuses, and a later try would not help.
            Unavailable: The service still cannot serve, and the patience for further tries is spent.
            ConnectionFailed: The status is a success that has no results.
        """
        delay = self._backoff.next(retry_after(reply)) if may_try_again(self.request(), reply) else None
        if delay is None:
            error = responses.refusal(reply)
            raise error or ConnectionFailed(f"HTTP {reply.status} where results were due")
        return delay

    def broken(self, outcome: Broken) -> float:
        """Note that the connection broke, and return the seconds to pause.

        Raises:
            ConnectionFailed: The patience for tries without progress is spent.
        """
        if self.next > self._asked_from:
            self._backoff.reset()
        delay = self._backoff.next()
        if delay is None:
            raise ConnectionFailed(outcome.reason)
        return delay


def unreadable(error: ValidationError) -> Broken:
    """Treat a line that cannot be parsed as a broken connection: a proxy may have cut it short."""
    first = error.errors(include_url=False, include_input=False)[0]
    return Broken(f"a line of the results cannot be read ({first['msg']})", sent=True)
