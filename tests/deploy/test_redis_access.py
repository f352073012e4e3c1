"""Redis as a second host should meet it: each part with the rights that it needs and no more, and over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from benchmarks.harness.processes import free_port
from benchmarks.harness.stack import Stack, http
from benchmarks.harness.waiting import wait_for
from tests.deploy.tls import TlsFront
from tests.support.jobs import check_undisturbed, in_progress, items, submit
from tokenreward.protocol import keys
from tokenreward_service.api_keys.store import KeyFile
from tokenreward_service.tools import redis_acl as deployment

SETTINGS = {
    "TOKENREWARD_SYNTHETIC_RATE": "40",
    "TOKENREWARD_SHARD_ITEMS": "10",
    "TOKENREWARD_LEASE_SECONDS": "3",
    "TOKENREWARD_JOB_TTL_SECONDS": "3600",
    "TOKENREWARD_SPILL_BYTES": "2000",
}


class Guarded(Stack):
    """A stack whose Redis listens on a port, knows the users of `deployment`, and is reached through TLS."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SETTINGS | {"TOKENREWARD_BLOB_URL": str(folder / "blobs")})
        self.port = free_port()
        assert deployment.write(folder / "secrets", f"127.0.0.1:{self.port}")
        self.tls = TlsFront(folder, self.port)
        self.redis.close()
        self.redis = self.client("admin")

    def url_of(self, user: str) -> str:
        """What the user's secret file says; `rediss` and the certificate are what an operator adds."""
        secret = "redis/admin_password" if user == "admin" else f"{user}/tokenreward_redis_url"
        content = (self.folder / "secrets" / secret).read_text("utf-8")
        who = f"admin:{content}" if user == "admin" else content.removeprefix("redis://").partition("@")[0]
        return f"rediss://{who}@127.0.0.1:{self.tls.port}/0?ssl_ca_certs={self.tls.authority}"

    def client(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(self.url_of(user), socket_timeout=5)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.tls.close()

    def start_valkey(self, *arguments: str) -> None:
        rules = str(self.folder / "secrets/redis/users.acl")
        super().start_valkey("--port", str(self.port), "--bind", "127.0.0.1", "--aclfile", rules, *arguments)

    def start_worker(self, *arguments: str, engine: str = "synthetic", supervised: bool = False, **env: str):
        self.redis_url = self.url_of("worker")
        return super().start_worker(*arguments, engine=engine, supervised=supervised, **env)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with Guarded(tmp_path_factory.mktemp("acl")) as stack:
        stack.redis_url = stack.url_of("api")
        stack.start_api()
        stack.start_worker()
        stack.wait_ready()
        yield stack


def refused(stack: Stack) -> list[str]:
    """What Redis refused for want of a right since it was last asked."""
    entries = stack.redis.execute_command("ACL", "LOG")
    stack.redis.execute_command("ACL", "LOG", "RESET")
    return [str(entry) for entry in entries]


def test_a_job_runs_to_its_end_with_these_rights(stack: Guarded) -> None:
    refused(stack)
    work = items(30)
    body = {"items": work, "include": ["logprobs", "tokens"]}
    answer = http.post(stack.url + "/v1/jobs", json=body, headers={"Idempotency-Key": "once"})
    check_undisturbed(stack, answer.json()["id"], work)
    assert list((stack.folder / "blobs" / answer.json()["id"]).iterdir()), "the worker spilled its results"
    assert stack.redis.sismember(keys.SPILLED, answer.json()["id"])
    small = http.post(stack.url + "/v1/label", json={"items": items(2)})
    assert small.status_code == 200
    doomed = submit(stack, [{"prompt": "p", "response": f"cancelled {n}"} for n in range(100)])
    wait_for(lambda: in_progress(stack, doomed), 20, "work in progress")
    for method, path in [("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")]:
        assert http.request(method, f"{stack.url}/v1/jobs/{doomed}{path}").status_code in (200, 204), path
    assert http.get(stack.url + "/metrics").status_code == 200
    assert refused(stack) == []


def test_a_killed_workers_shard_is_taken_back_and_a_stopped_ones_handed_back(stack: Guarded) -> None:
    refused(stack)
    work = items(60)
    for end in ("kill", "stop"):
        job_id = submit(stack, [item | {"prompt": f"{item['prompt']} {end}"} for item in work])
        wait_for(lambda job_id=job_id: in_progress(stack, job_id), 20, "work in progress")
        getattr(stack.workers.pop(), end)()
        stack.start_worker()
        check_undisturbed(stack, job_id, [item | {"prompt": f"{item['prompt']} {end}"} for item in work])
    assert refused(stack) == []


def test_a_worker_cannot_make_itself_a_key_or_read_what_is_not_its_business(stack: Guarded) -> None:
    worker = stack.client("worker")
    with pytest.raises(redis.exceptions.NoPermissionError):
        KeyFile(worker).create("mine", ["admin"])
    forbidden = [
        ("HGETALL", "tr:apikeys"),
        ("DEL", "tr:apikeys"),
        ("ZRANGE", "tr:jobs:-", "0", "-1"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("SHUTDOWN",),
        ("ACL", "LIST"),
        ("SET", "somewhere:else", "1"),
        ("SUBSCRIBE", "others"),
        ("EVAL", "return redis.call('HGETALL', 'tr:apikeys')", "0"),
    ]
    for command in forbidden:
        with pytest.raises(redis.exceptions.ResponseError):
            worker.execute_command(*command)
    refused(stack)


def test_the_api_cannot_change_redis_itself(stack: Guarded) -> None:
    api = stack.client("api")
    for command in [("FLUSHALL",), ("CONFIG", "GET", "*"), ("SHUTDOWN",), ("ACL", "LIST"), ("SET", "x", "1")]:
        with pytest.raises(redis.exceptions.ResponseError):
            api.execute_command(*command)
    refused(stack)


def test_whoever_has_no_password_or_no_certificate_stays_out(stack: Guarded) -> None:
    stranger = redis.Redis(port=stack.port)
    assert stranger.ping()
    with pytest.raises(redis.exceptions.NoPermissionError):
        stranger.get("tr:workers")
    refused(stack)
    wrong = stack.url_of("worker").replace("worker:", "worker:x")
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis.from_url(wrong).ping()
    unverified = stack.url_of("worker").partition("?")[0]
    with pytest.raises(redis.exceptions.ConnectionError):
        redis.Redis.from_url(unverified).ping()
    refused(stack)


def test_the_page_for_operators_says_these_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    for user, rules in deployment.RULES.items():
        said = " ".join(page.replace("\\\n", " ").split())
        assert f"user {user} on >PASSWORD {' '.join(rules.split())}" in said, user
