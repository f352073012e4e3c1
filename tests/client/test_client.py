"""The client against a real HTTP server that misbehaves on purpose. Every test runs sync and async."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from benchmarks.harness.waiting import patience
from tests.support.staged_server import PROVENANCE, Staged, cut, drop, end_line, job, problem, reply, result_line, slow
from tokenreward import (
    AsyncClient,
    BadInput,
    Client,
    ConnectionFailed,
    Item,
    ItemError,
    JobFailed,
    Rejected,
    Template,
    Unavailable,
    WaitTimeout,
)

ITEM = {"prompt": "What is 2+2?", "response": "5"}


class Driver:
    """Calls the sync client, or the async one in an event loop of its own, in the same words."""

    def __init__(self, asynchronous: bool, url: str, **options: Any) -> None:
        self._options = {"url": url, "timeout": 2.0, "patience": 3.0, **options}
        self._asynchronous = asynchronous

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if not self._asynchronous:
            with Client(**self._options) as client:
                value = self._find(client, method)(*args, **kwargs)
                return list(value) if isinstance(value, Iterator) else value

        async def call() -> Any:
            async with AsyncClient(**self._options) as client:
                value = self._find(client, method)(*args, **kwargs)
                return [x async for x in value] if inspect.isasyncgen(value) else await value

        return asyncio.run(call())

    def _find(self, client: Any, method: str) -> Any:
        for name in method.split("."):
            client = getattr(client, name)
        return client


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, server: Staged) -> Driver:
    return Driver(request.param == "async", server.url)


LABELED = {
    "job": job(total=1),
    "results": [{"index": 0, "token_ids": [20], "rewards": [-0.5]}],
    "provenance": PROVENANCE.model_dump(),
}


def test_label_sends_options_and_reads_rewards(server: Staged, call: Driver) -> None:
    server.stage(reply(200, LABELED))
    answer = call("label", [ITEM], model="tiny", include=["tokens"], wait=3)
    assert answer.results[0].rewards == [-0.5]
    assert answer.provenance == PROVENANCE
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/v1/label")
    assert seen.headers["prefer"] == "wait=3"
    assert json.loads(seen.body) == {"items": [ITEM], "model": "tiny", "include": ["tokens"]}


def test_label_follows_the_job_when_the_service_will_not_wait(server: Staged, call: Driver) -> None:
    server.stage(
        reply(202, job("queued", done=0)),
        reply(200, job("running", done=1)),
        reply(200, job("succeeded")),
        reply(200, result_line(0) + result_line(1) + end_line(2, True)),
    )
    answer = call("label", [ITEM, ITEM])
    assert [r.index for r in answer.results] == [0, 1]
    assert answer.job.state == "succeeded"


def test_label_of_a_job_that_is_cancelled_raises_it(server: Staged, call: Driver) -> None:
    server.stage(reply(202, job("queued", done=0)), reply(200, job("cancelled")))
    with pytest.raises(JobFailed, match="j1 cancelled"):
        call("label", [ITEM])


def test_strict_label_raises_the_first_item_error(server: Staged, call: Driver) -> None:
    failure = {"index": 0, "error": {"code": "too_long", "message": "9000 tokens"}}
    server.stage(reply(200, {**LABELED, "results": [failure]}))
    with pytest.raises(ItemError, match=r"item 0: 9000 tokens \[too_long\]"):
        call("label", [ITEM], strict=True)
    assert json.loads(server.seen[0].body)["strict"] is True


def test_the_api_key_travels_as_a_bearer_token(server: Staged) -> None:
    server.stage(reply(200, {"status": "ok"}))
    with Client(server.url, api_key="s3cret") as client:
        assert client.health() == "ok"
        assert "s3cret" not in repr(client.settings)
    assert server.seen[0].headers["authorization"] == "Bearer s3cret"


def test_an_api_key_that_would_break_a_header_is_refused(server: Staged) -> None:
    with pytest.raises(BadInput, match="api_key"):
        Client(server.url, api_key="a\r\nx-evil: 1")


def test_busy_service_is_asked_again_after_retry_after(server: Staged, call: Driver) -> None:
    server.stage(problem(503, retry_after="1"), reply(200, {"status": "ok"}))
    started = time.monotonic()
    assert call("health") == "ok"
    assert time.monotonic() - started >= 1.0


def test_retry_after_may_be_a_date(server: Staged, call: Driver) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.stage(problem(429, retry_after=when), reply(200, {"status": "ok"}))
    started = time.monotonic()
    assert call("health") == "ok"
    assert time.monotonic() - started >= 0.8


def test_a_service_that_asks_for_more_time_than_there_is_raises_at_once(server: Staged, call: Driver) -> None:
    server.stage(problem(429, "Too many", retry_after="3600"))
    started = time.monotonic()
    with pytest.raises(Unavailable, match="Too many"):
        call("models")
    assert time.monotonic() - started < patience(1.0)


def test_a_refusal_says_where_and_is_not_repeated(server: Staged, call: Driver) -> None:
    error = {"pointer": "/template", "detail": "unknown template 'x'", "hint": "a newer service's"}
    server.stage(problem(422, "Bad options", errors=[error]))
    with pytest.raises(Rejected, match="/template: unknown template 'x'") as caught:
        call("label", [ITEM], template="x")
    assert caught.value.status == 422
    assert len(server.seen) == 1


def test_a_page_of_some_other_server_is_a_readable_refusal(server: Staged, call: Driver) -> None:
    server.stage(reply(404, b"<html>nginx</html>", content_type="text/html"))
    with pytest.raises(Rejected, match=r"Not Found \(HTTP 404\)"):
        call("jobs.get", "j1")


def test_an_answer_that_is_not_ours_is_a_connection_failure(server: Staged, call: Driver) -> None:
    server.stage(reply(200, b"<html>hello</html>"))
    with pytest.raises(ConnectionFailed, match="right address"):
        call("models")


def test_fields_of_a_newer_service_are_passed_over(server: Staged, call: Driver) -> None:
    server.stage(reply(200, {**job(), "mood": "sunny", "provenance": {**PROVENANCE.model_dump(), "moon": 1}}))
    assert call("jobs.get", "j1").provenance == PROVENANCE


def test_nobody_listening_is_a_connection_failure(call: Driver) -> None:
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:9"):
        Driver(call._asynchronous, "http://127.0.0.1:9", patience=0.3)("health")


def test_silence_is_a_connection_failure_within_the_timeout(server: Staged, call: Driver) -> None:
    server.stage(slow(1.5, reply(200, {"status": "ok"})))
    started = time.monotonic()
    with pytest.raises(ConnectionFailed, match="no answer in time"):
        Driver(call._asynchronous, server.url, timeout=0.2, patience=0)("health")
    assert time.monotonic() - started < patience(1.2)


def test_a_created_job_survives_dropped_connections_under_one_key(server: Staged, call: Driver) -> None:
    server.stage(drop, problem(503, retry_after="0"), problem(409, "In flight"), reply(202, job("queued", done=0)))
    items = ({"prompt": f"p{i}", "response": "é\u2028x"} for i in range(3))
    assert call("jobs.create", items, include=["tokens", "logprobs"]).id == "j1"
    assert len({seen.headers["idempotency-key"] for seen in server.seen}) == 1
    assert len(server.seen) == 4
    assert len({seen.body for seen in server.seen}) == 1
    assert [json.loads(line)["prompt"] for line in server.seen[-1].body.split(b"\n")[:-1]] == ["p0", "p1", "p2"]
    assert server.seen[-1].headers["content-type"] == "application/x-ndjson"
    assert server.seen[-1].path == "/v1/jobs?estimator=contrast&include=tokens&include=logprobs"


def test_every_create_is_a_new_job_unless_the_caller_names_a_key(server: Staged, call: Driver) -> None:
    server.stage(reply(202, job("queued")))
    call("jobs.create", [ITEM])
    call("jobs.create", [ITEM])
    call("jobs.create", [ITEM], idempotency_key="mine")
    first, second, third = (seen.headers["idempotency-key"] for seen in server.seen)
    assert first != second
    assert third == "mine"


def test_a_template_of_the_callers_own_travels_in_a_json_body(server: Staged, call: Driver) -> None:
    server.stage(reply(202, job("queued")))
    template = Template(name="mine", context="{prompt}", branches={"better": {"directive": "+"}})  # type: ignore[dict-item]
    call("jobs.create", iter([Item(prompt="p", response="r"), ITEM]), template=template)
    body = json.loads(server.seen[0].body)
    assert body["template"]["branches"]["better"]["directive"] == "+"
    assert body["items"] == [{"prompt": "p", "response": "r"}, ITEM]
    assert server.seen[0].path == "/v1/jobs"


def test_no_items_is_an_error_before_any_request(server: Staged, call: Driver) -> None:
    for method in ("label", "jobs.create"):
        with pytest.raises(BadInput, match="no items"):
            call(method, [])
    assert not server.seen


def test_a_wrong_include_is_an_error_before_any_request(server: Staged, call: Driver) -> None:
    with pytest.raises(BadInput, match="include"):
        call("label", [ITEM], include=["everything"])
    assert not server.seen


def test_a_large_body_is_spooled_and_sent_again_whole(server: Staged, call: Driver) -> None:
    server.stage(drop, reply(202, job("queued")))
    call("jobs.create", ({"prompt": "x" * 1000, "response": str(i)} for i in range(3000)))
    first, second = (seen.body for seen in server.seen)
    assert first == second
    assert second.count(b"\n") == 3000


def test_results_come_in_order_across_broken_connections(server: Staged, call: Driver) -> None:
    server.stage(
        cut(result_line(0), result_line(1)[:10]),
        drop,
        reply(200, result_line(1) + end_line(2, False)),
        problem(503, retry_after="0"),
        cut(),
        reply(200, result_line(2)[:-1]),  # a proxy that ends the answer neatly in the middle
        reply(200, result_line(2) + result_line(3) + end_line(4, True)),
    )
    results = call("jobs.results", "j1")
    assert [r.index for r in results] == [0, 1, 2, 3]
    assert results[1].rewards == [0.25, -0.5]
    assert [seen.path.partition("?")[2] for seen in server.seen] == [f"from={n}" for n in (0, 1, 1, 2, 2, 2, 2)]
    assert server.seen[0].headers["prefer"] == "wait=10"


def test_a_service_that_is_busy_while_results_are_read_is_told_of(server: Staged, call: Driver) -> None:
    said: list[str | None] = []
    server.stage(problem(503, "Too busy", retry_after="0"), reply(200, result_line(0) + end_line(1, True)))
    assert len(Driver(call._asynchronous, server.url, on_trouble=said.append)("jobs.results", "j1")) == 1
    assert said == ["Too busy (HTTP 503)\nbecause", None]


def test_results_without_follow_are_what_is_there_now(server: Staged, call: Driver) -> None:
    server.stage(reply(200, result_line(3) + end_line(4, False)))
    assert [r.index for r in call("jobs.results", "j1", 3, follow=False)] == [3]
    assert "prefer" not in server.seen[0].headers


def test_a_service_that_never_delivers_is_given_up(server: Staged, call: Driver) -> None:
    server.stage(cut(b'{"index"'))
    with pytest.raises(ConnectionFailed):
        Driver(call._asynchronous, server.url, patience=0.4)("jobs.results", "j1")


def test_results_of_an_unknown_job_are_refused(server: Staged, call: Driver) -> None:
    server.stage(problem(404, "No such job"))
    with pytest.raises(Rejected, match="No such job"):
        call("jobs.results", "../j1")
    assert server.seen[0].path.startswith("/v1/jobs/..%2Fj1/results")


def test_a_line_separator_inside_a_token_is_not_a_line_end(server: Staged, call: Driver) -> None:
    line = json.dumps({"index": 0, "tokens": ["\u2028\x85"], "rewards": [0.1], "token_ids": [1]}, ensure_ascii=False)
    server.stage(reply(200, line.encode() + b"\n" + end_line(1, True)))
    assert call("jobs.results", "j1")[0].tokens == ["\u2028\x85"]


def test_wait_gives_the_job_once_it_is_over(server: Staged, call: Driver) -> None:
    server.stage(reply(200, job("running", done=1)), drop, reply(200, job("cancelled")))
    assert call("jobs.wait", "j1").state == "cancelled"


def test_wait_raises_when_its_time_is_over(server: Staged, call: Driver) -> None:
    server.stage(reply(200, job("running", done=1)))
    with pytest.raises(WaitTimeout, match="still running with 1 of 2"):
        call("jobs.wait", "j1", timeout=0.3)


def test_retry_is_not_sent_twice_when_its_answer_is_lost(server: Staged, call: Driver) -> None:
    server.stage(drop)
    with pytest.raises(ConnectionFailed):
        call("jobs.retry", "j1")
    assert len(server.seen) == 1


def test_cancel_and_delete_are_repeated_until_answered(server: Staged, call: Driver) -> None:
    server.stage(drop, reply(200, job("cancelled")))
    assert call("jobs.cancel", "j1").state == "cancelled"
    server.answers.clear()
    server.stage(drop, problem(404, "No such job"))  # the first try had worked; only its answer was lost
    assert call("jobs.delete", "j1") is None
    with pytest.raises(Rejected, match="No such job"):
        call("jobs.delete", "j1")


def test_jobs_are_listed_page_by_page(server: Staged, call: Driver) -> None:
    server.stage(
        reply(200, {"jobs": [job(name="a"), job(name="b")], "next_cursor": "c&1"}),
        reply(200, {"jobs": [job(name="c"), job(name="d")], "next_cursor": None}),
    )
    assert [j.id for j in call("jobs.list", 3)] == ["a", "b", "c"]
    assert [seen.path for seen in server.seen] == ["/v1/jobs?limit=3", "/v1/jobs?limit=1&cursor=c%261"]


def test_render_names_or_carries_the_template(server: Staged, call: Driver) -> None:
    server.stage(reply(200, {"template": "revision", "template_hash": "h", "branches": {"better": {"messages": []}}}))
    assert call("render", ITEM).branches["better"].messages == []
    assert json.loads(server.seen[0].body) == {"item": ITEM, "template": "revision"}


def test_one_connection_is_used_again(server: Staged) -> None:
    server.stage(reply(200, {"status": "ok"}))
    with Client(server.url) as client:
        for _ in range(5):
            client.health()
    assert len({seen.connection for seen in server.seen}) == 1


def test_a_proxy_from_the_environment_is_not_asked_for_loopback(
    server: Staged, call: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.stage(reply(200, {"status": "ok"}))
    assert call("health") == "ok"


def test_settings_come_from_arguments_before_the_environment(server: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENREWARD_URL", server.url + "/")
    monkeypatch.setenv("TOKENREWARD_TIMEOUT", "7")
    with Client(timeout=9) as client:
        assert client.settings.url == server.url
        assert client.settings.timeout == 9
    monkeypatch.setenv("TOKENREWARD_URL", "localhost:8383")
    with pytest.raises(BadInput, match="TOKENREWARD_URL"):
        Client()


def test_a_base_path_is_kept(server: Staged, call: Driver) -> None:
    server.stage(reply(200, {"status": "ok"}))
    assert Driver(call._asynchronous, server.url + "/rewards/")("health") == "ok"
    assert server.seen[0].path == "/rewards/healthz"


def test_numpy_and_torch_token_ids_are_json(server: Staged, call: Driver) -> None:
    np = pytest.importorskip("numpy")
    server.stage(reply(200, LABELED))
    call("label", [{"prompt": "p", "token_ids": np.array([3, 4], dtype=np.int64)}])
    assert json.loads(server.seen[0].body)["items"][0]["token_ids"] == [3, 4]


def test_more_items_than_one_request_takes_become_a_job(server: Staged, call: Driver) -> None:
    results = b"".join(map(result_line, range(100))) + end_line(100, True)
    server.stage(reply(202, job("queued", total=100, done=0)), reply(200, job(total=100)), reply(200, results))
    assert len(call("label", [ITEM] * 100).results) == 100
    assert server.seen[0].path.startswith("/v1/jobs?")


def test_a_client_that_was_pickled_has_the_same_settings(server: Staged) -> None:
    server.stage(reply(200, {"status": "ok"}))
    with Client(server.url, api_key="k") as client:
        client.health()
        copy = pickle.loads(pickle.dumps(client))  # noqa: S301 (our own bytes)
    assert copy.settings == client.settings
    assert copy.health() == "ok"
    assert server.seen[-1].headers["authorization"] == "Bearer k"
    assert pickle.loads(pickle.dumps(AsyncClient(server.url))).settings.url == server.url  # noqa: S301
