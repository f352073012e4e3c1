"""A store behind Sentinels: a primary dies or is changed over under load, and whatever was accepted ends rightly."""

from __future__ import annotations

import asyncio
import functools
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import redis

from benchmarks.harness.processes import COMMAND
from benchmarks.harness.sentinels import DOWN_AFTER, EXTRA_RULES, NAME, PASSWORDS, Watched
from benchmarks.harness.stack import Stack, http
from benchmarks.harness.waiting import patience, wait_for
from tests.support.jobs import check_undisturbed, in_progress, items, submit
from tests.support.repeating import Repeating
from tokenreward.protocol.connections import connect, connect_async
from tokenreward_workers.process.supervisor import HOPELESS

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "TOKENREWARD_SYNTHETIC_RATE": "60",
    "TOKENREWARD_SHARD_ITEMS": "10",
    "TOKENREWARD_LEASE_SECONDS": "3",
    "TOKENREWARD_CACHE_TTL_SECONDS": "0",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with Watched(tmp_path_factory.mktemp("sentinel"), SETTINGS, replicas=2) as stack:
        stack.start_api()
        stack.start_worker()
        stack.start_worker()
        stack.wait_ready(2)
        yield stack


class Senders(Repeating):
    """Send jobs until told to stop, each again with its own key until it is accepted. `accepted`: items by job id."""

    def __init__(self, stack: Stack) -> None:
        self.accepted: dict[str, list[dict]] = {}
        self.refusals: set[str] = set()
        self._url = stack.url + "/v1/jobs"
        super().__init__([functools.partial(self._run, name) for name in "ab"])

    def _run(self, name: str) -> None:
        round_ = 0
        with httpx2.Client(timeout=patience(30), trust_env=False) as client:
            while not self.over.is_set():
                round_ += 1
                work = [item | {"prompt": f"{item['prompt']} {name} {round_}"} for item in items(10)]
                self.accepted[self._send(client, work)] = work
                time.sleep(0.2)

    def _send(self, client: httpx2.Client, work: list[dict]) -> str:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        while True:
            answer = client.post(self._url, json={"items": work}, headers=key)
            if answer.status_code == 202:
                return str(answer.json()["id"])
            assert answer.status_code in {503, 409}, answer.text
            self.refusals.add(answer.json()["detail"])
            time.sleep(0.1)


def change_over(stack: Watched, kill: bool) -> None:
    """Have the replica take over, while the primary dies or lives on, and wait until the other one follows it."""
    if not kill:
        stack.change_over()
        return
    before = stack.primary
    stack.servers[before].kill()
    wait_for(lambda: stack.primary not in (0, before), 30, "the failover")


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "changed over"])
def test_whatever_was_accepted_ends_rightly_after_a_failover_under_load(stack: Watched, kill: bool) -> None:
    before = stack.primary
    work = items(200)
    long_job = submit(stack, work)
    wait_for(lambda: in_progress(stack, long_job), 20, "work in progress")
    with Senders(stack) as senders:
        wait_for(lambda: len(senders.accepted) >= 4, 30, "accepted jobs")
        change_over(stack, kill)
        sent_before = len(senders.accepted)
        wait_for(lambda: len(senders.accepted) >= sent_before + 6, 60, "jobs that the new primary accepted")
    if kill:
        stack.start_server(before)
    # Until then a primary that was changed over goes on as one, and has what it accepted.
    wait_for(stack.followed, 60, "the old primary as a replica")
    check_undisturbed(stack, long_job, work, 120)
    for job_id, sent in senders.accepted.items():
        check_undisturbed(stack, job_id, sent, 120)


def test_a_replica_that_the_sentinels_cannot_see_stands_in_for_no_other(stack: Watched) -> None:
    wait_for(stack.followed, 60, "the replicas")
    unseen = stack.replicas()[0]
    with stack.client(unseen) as server:
        answer_sentinels(server, False)
        try:
            wait_for(lambda: stack.seen_down() == {unseen}, 30, "the Sentinels' verdict")
            assert server.info("replication")["master_link_status"] == "up"
            with Senders(stack) as senders:
                wait_for(lambda: len(senders.accepted) >= 4, 30, "accepted jobs")
                stack.change_over()
                sent_before = len(senders.accepted)
                wait_for(lambda: len(senders.accepted) >= sent_before + 6, 60, "jobs that the new primary accepted")
        finally:
            answer_sentinels(server, True)
    wait_for(stack.followed, 60, "the old primary and the replica that was not seen")
    for job_id, sent in senders.accepted.items():
        check_undisturbed(stack, job_id, sent, 120)


def answer_sentinels(server: redis.Redis, whether: bool) -> None:
    """Say whether a server answers their PING, with a user or without one."""
    server.execute_command("ACL", "SETUSER", "sentinel", "on" if whether else "off")
    server.execute_command("ACL", "SETUSER", "default", "+ping" if whether else "-ping")
    for user in ("sentinel", "default"):  # they log in when they connect, and ask without a user if they cannot
        server.client_kill_filter(user=user)


def test_open_connections_follow_a_change_over_before_the_old_primary_is_told(stack: Watched) -> None:
    wait_for(stack.followed, 60, "the replicas")
    before, url = stack.primary, stack.url_of("admin")
    with asyncio.Runner() as loop, connect(url) as client, stack.client(before) as old:
        other = connect_async(url)
        look = {
            "sync": lambda: client.info("server")["tcp_port"],
            "async": lambda: loop.run(other.info("server"))["tcp_port"],
        }
        assert {port() for port in look.values()} == {before}
        stack.change_over()
        followed: set[str] = set()

        def all_follow() -> bool:
            if old.info("replication")["role"] == "slave":
                return True  # it has ended their connections
            followed.update(name for name, port in look.items() if port() == stack.primary)
            return len(followed) == len(look)

        wait_for(all_follow, 60, "the change-over")
        assert followed == set(look)
        loop.run(other.aclose())
    wait_for(stack.followed, 60, "the old primary as a replica")


def test_a_job_is_accepted_once_the_replicas_that_are_alive_have_it(stack: Watched) -> None:
    wait_for(stack.followed, 60, "the replicas")
    replicas = stack.replicas()
    work = items(10)
    key = {"Idempotency-Key": uuid.uuid4().hex}

    def post() -> httpx2.Response:
        return http.post(stack.url + "/v1/jobs", json={"items": work}, headers=key, timeout=patience(30))

    stack.down_after(60_000)
    stack.servers[replicas[0]].send(signal.SIGSTOP)
    try:
        refused = post()
        assert refused.status_code == 503
        assert "A replica of the job store has not confirmed this job in time" in refused.json()["detail"]
        assert post().status_code == 503, "the job is known by now, but still one replica lacks it"
        stack.down_after(DOWN_AFTER)
        accepted = wait_for(lambda: (answer := post()).status_code == 202 and answer, 30, "the Sentinels' verdict")
    finally:
        stack.down_after(DOWN_AFTER)
        stack.servers[replicas[0]].send(signal.SIGCONT)
    check_undisturbed(stack, accepted.json()["id"], work)


def test_a_primary_that_must_not_be_alone_takes_no_work_without_its_replicas(stack: Watched) -> None:
    wait_for(stack.followed, 60, "the replicas")
    replicas = stack.replicas()
    with stack.client(stack.primary) as primary:
        primary.config_set("min-replicas-to-write", 1)
        for replica in replicas:
            stack.servers[replica].kill()
        try:
            wait_for(lambda: primary.info("replication")["connected_slaves"] == 0, 20, "their end")
            refused = http.post(stack.url + "/v1/jobs", json={"items": items(1)}, timeout=patience(30))
            assert refused.status_code == 503
            assert refused.json()["detail"] == "The job store takes no writes at the moment."
        finally:
            primary.config_set("min-replicas-to-write", 0)
            for replica in replicas:
                stack.start_server(replica)
    wait_for(stack.followed, 60, "the replicas")
    work = items(10)
    check_undisturbed(stack, submit(stack, work), work)


def test_the_page_for_operators_says_the_rules_of_the_users_that_the_servers_and_the_sentinels_need() -> None:
    page = " ".join((ROOT / "docs" / "operations.md").read_text("utf-8").replace("\\\n", " ").split())
    for user, rules in EXTRA_RULES.items():
        assert f"user {user} on >PASSWORD {rules}" in page, user


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *command], capture_output=True, text=True, check=False, timeout=patience(60))


def test_the_tools_find_the_store_by_its_sentinels(stack: Watched, tmp_path: Path) -> None:
    assert run("keys", "list", "--redis-url", stack.url_of("api")).returncode == 0
    assert run("worker", "--healthy", "--redis-url", stack.url_of("worker")).returncode == 0
    tool = ["-m", "tokenreward_service.tools.backup", str(stack.folder / f"server-{stack.primary}")]
    server = f"redis://admin:{PASSWORDS['admin']}@127.0.0.1:{stack.primary}"
    copied = subprocess.run(
        [COMMAND[0], *tool, str(tmp_path / "copy"), "--redis-url", server],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert copied.returncode == 0, copied.stderr
    assert list((tmp_path / "copy").rglob("*.aof"))


@pytest.mark.parametrize(
    ("command", "status"),
    [("serve", 1), ("worker --engine synthetic", HOPELESS), ("keys list", 1), ("worker --healthy", 1)],
)
def test_a_master_name_that_nobody_watches_is_said_in_one_line(stack: Watched, command: str, status: int) -> None:
    ended = run(*command.split(), "--redis-url", stack.url_of("worker", "reward"))
    assert ended.returncode == status
    said = f"the Sentinels know no master name 'reward' (they watch {NAME}): correct the name at the end of the Redis"
    assert [line for line in ended.stderr.splitlines() if said in line] == ended.stderr.splitlines()


def test_sentinels_that_do_not_answer_are_said_in_one_line() -> None:
    ended = run("serve", "--redis-url", "redis+sentinel://127.0.0.1:1,127.0.0.1:2/rewards")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "no Sentinel answers" in line
    assert line.endswith("start one, or correct their addresses")
