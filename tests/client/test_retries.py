"""What the client sends again, and how long it waits: the generators alone, without a network."""

from __future__ import annotations

import pytest

from tokenreward import ConnectionFailed, Rejected, Unavailable
from tokenreward.http import endpoints
from tokenreward.http.exchange import Broken, Operation, Outcome, Pause, Reply, Request
from tokenreward.http.retries import Backoff, may_try_again, retry_after, send

READ = Request("GET", "/v1/models")
RETRY = endpoints.retry("j1")
BUSY = Reply(503, {}, b"")
LOST = Broken("the connection broke", sent=True)
UNSENT = Broken("the connection was refused", sent=False)


def performed(operation: Operation[Reply], outcomes: list[Outcome]) -> tuple[Reply, list[Request | Pause]]:
    """The operation's result and its steps; pauses take no time."""
    steps: list[Request | Pause] = []
    outcome: Outcome = None
    waiting = iter(outcomes)
    while True:
        try:
            steps.append(operation.send(outcome))
        except StopIteration as end:
            return end.value, steps
        outcome = None if isinstance(steps[-1], Pause) else next(waiting)


def test_delays_double_within_their_upper_half_and_stop_growing_at_eight_seconds() -> None:
    backoff = Backoff(1000.0, clock=lambda: 0.0)
    for longest in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0):
        delay = backoff.next()
        assert delay is not None
        assert longest / 2 <= delay <= longest


def test_a_try_that_would_begin_after_the_patience_is_spent_is_not_made() -> None:
    assert Backoff(10.0, clock=lambda: 0.0).next(at_least=10.5) is None
    assert Backoff(10.0, clock=lambda: 0.0).next(at_least=9.5) == 9.5


def test_progress_gives_the_patience_back() -> None:
    now = [0.0]
    backoff = Backoff(5.0, clock=lambda: now[0])
    now[0] = 4.99
    assert backoff.next() is None
    backoff.reset()
    assert backoff.next() is not None


def test_a_request_that_does_harm_twice_is_repeated_only_if_it_was_never_sent() -> None:
    assert may_try_again(READ, LOST)
    assert not may_try_again(RETRY, LOST)
    assert may_try_again(RETRY, UNSENT)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answer_that_accepted_nothing_allows_any_request_again(status: int) -> None:
    assert may_try_again(RETRY, Reply(status, {}, b""))


def test_a_conflict_is_worth_another_try_only_under_an_idempotency_key() -> None:
    conflict = Reply(409, {}, b"")
    assert not may_try_again(READ, conflict)
    assert may_try_again(Request("POST", "/v1/label", headers={"idempotency-key": "k"}), conflict)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0), ("-3", 0.0)])
def test_the_servers_wish_is_read_in_seconds(value: str, seconds: float) -> None:
    assert retry_after(Reply(503, {"retry-after": value}, b"")) == seconds


def test_a_busy_service_is_asked_again_after_the_time_it_named() -> None:
    done = Reply(200, {}, b"{}")
    reply, steps = performed(send(READ, 60.0), [Reply(503, {"retry-after": "3"}, b""), done])
    assert reply is done
    assert steps == [READ, Pause(3.0), READ]


def test_a_deletion_that_finds_nothing_after_a_broken_try_had_worked() -> None:
    gone = Reply(404, {}, b"")
    reply, _ = performed(send(endpoints.delete("j1"), 60.0), [LOST, gone])
    assert reply is gone
    with pytest.raises(Rejected):
        performed(send(endpoints.delete("j1"), 60.0), [gone])


@pytest.mark.parametrize(("outcome", "error"), [(BUSY, Unavailable), (LOST, ConnectionFailed)])
def test_without_patience_the_first_failure_is_raised(outcome: Outcome, error: type[Exception]) -> None:
    with pytest.raises(error):
        performed(send(READ, 0.0), [outcome])
