"""Following a result set: where we are, what to ask for next, and what a broken connection means. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from tokenreward.errors import ConnectionFailed
from tokenreward.http import endpoints
from tokenreward.http.exchange import Broken, Reply, Request
from tokenreward.http.retries import Backoff, may_try_again, retry_after
from tokenreward.schema import ItemResult, ResultsEnd

#: How long one request for results that are not there yet is held by the server, seconds.
FOLLOW_WAIT = 10.0


class ResultsCursor:
    """One reader's place in a job's results.

    A shell asks for `request`, hands every block of the answer to `feed`, and reports how the answer ended by
    `ended`, `refused` or `broken`; these return the seconds to pause before the next request. Every result comes
    once and in order, however often the connection breaks.
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
        self._rest, self._end, self._asked_from = b"", None, self.next
        return endpoints.results(self._job_id, self.next, FOLLOW_WAIT if self._follow else 0.0)

    def feed(self, block: bytes) -> Iterator[ItemResult]:
        """The results that `block` completes. Lines end in a line feed and nothing else: JSON may hold the rest."""
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
        """The answer is over."""
        if self._end is None or self._rest.strip():
            return self.broken(Broken("the results broke off in the middle", sent=True))
        self.finished = self._end.complete or not self._follow
        progress = self.next > self._asked_from
        if progress:
            self._backoff.reset()
        return 0.0 if progress or self.finished else 0.2  # a server that does not wait must not be hammered

    def refused(self, reply: Reply) -> float:
        delay = self._backoff.next(retry_after(reply)) if may_try_again(self.request(), reply) else None
        if delay is None:
            error = endpoints.refusal(reply)
            raise error or ConnectionFailed(f"HTTP {reply.status} where results were due")
        return delay

    def broken(self, outcome: Broken) -> float:
        if self.next > self._asked_from:
            self._backoff.reset()
        delay = self._backoff.next()
        if delay is None:
            raise ConnectionFailed(outcome.reason)
        return delay


def unreadable(error: ValidationError) -> Broken:
    """A line that is not what it should be: cut short by a proxy, as far as anyone can tell."""
    first = error.errors(include_url=False, include_input=False)[0]
    return Broken(f"a line of the results cannot be read ({first['msg']})", sent=True)
