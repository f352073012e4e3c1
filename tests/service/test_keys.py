"""API keys over real HTTP: who gets in, what each sees, and that a revoked key is out."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from benchmarks.harness.adapters import write_adapter
from benchmarks.harness.processes import COMMAND
from benchmarks.harness.stack import Stack, running
from benchmarks.harness.waiting import patience, wait_for

BODY = {"items": [{"prompt": "p", "response": "r"}]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("keys")
    with running(folder, TOKENREWARD_CACHE=str(folder / "cache")) as stack:
        yield stack


def keys(stack: Stack, *arguments: str) -> str:
    command = [*COMMAND, "keys", *arguments, "--redis-url", stack.redis_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
    assert done.returncode == 0, done.stderr
    return done.stdout


def create(stack: Stack, name: str, *scopes: str) -> dict[str, str]:
    given = [part for scope in scopes for part in ("--scope", scope)]
    token = keys(stack, "create", name, *given).splitlines()[0]
    headers = {"Authorization": f"Bearer {token}"}
    wait_for(lambda: httpx2.get(stack.url + "/v1/models", headers=headers).status_code == 200, 5, "the key")
    return headers


@pytest.fixture(scope="module")
def alice(stack: Stack) -> dict[str, str]:
    return create(stack, "alice")


@pytest.fixture(scope="module")
def bob(stack: Stack) -> dict[str, str]:
    return create(stack, "bob")


@pytest.mark.parametrize("shown", [None, "Bearer wrong", "Bearer trk_0_0", "Basic YTpi", "Bearer", "Bearer \xff"])
def test_without_a_good_key_there_is_a_401_that_says_what_is_asked_for(
    stack: Stack, alice: dict[str, str], shown: str | None
) -> None:
    headers = {} if shown is None else {"Authorization": shown.encode("latin-1")}
    for method, path in [("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("POST", "/v1/render"), ("GET", "/v1/models")]:
        refused = httpx2.request(method, stack.url + path, headers=headers)
        assert refused.status_code == 401, (method, path)
        assert refused.headers["www-authenticate"].startswith('Bearer realm="tokenreward"')
        assert refused.headers["content-type"] == "application/problem+json"


def test_health_needs_no_key(stack: Stack, alice: dict[str, str]) -> None:
    assert httpx2.get(stack.url + "/healthz").status_code == 200
    assert httpx2.get(stack.url + "/readyz").status_code == 200


def test_a_key_sees_its_own_jobs_only(stack: Stack, alice: dict[str, str], bob: dict[str, str]) -> None:
    job = httpx2.post(stack.url + "/v1/jobs", json=BODY, headers=alice).json()["id"]
    assert httpx2.get(f"{stack.url}/v1/jobs/{job}", headers=alice).status_code == 200
    for method, path in [("GET", ""), ("GET", "/results"), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry")]:
        refused = httpx2.request(method, f"{stack.url}/v1/jobs/{job}{path}", headers=bob)
        assert refused.status_code == 404, (method, path)
    assert httpx2.get(stack.url + "/v1/jobs", headers=bob).json()["jobs"] == []
    assert httpx2.get(stack.url + "/v1/jobs", headers=alice).json()["jobs"][0]["id"] == job


def test_an_idempotency_key_belongs_to_its_api_key(stack: Stack, alice: dict[str, str], bob: dict[str, str]) -> None:
    made = [
        httpx2.post(stack.url + "/v1/jobs", json=BODY, headers=who | {"Idempotency-Key": "same"}).json()["id"]
        for who in (alice, bob, alice)
    ]
    assert made[0] == made[2] != made[1]


def test_an_admin_key_manages_any_job_but_sends_none(stack: Stack, alice: dict[str, str]) -> None:
    admin = create(stack, "operator", "admin")
    job = httpx2.post(stack.url + "/v1/jobs", json=BODY, headers=alice).json()["id"]
    assert httpx2.get(f"{stack.url}/v1/jobs/{job}", headers=admin).status_code == 200
    refused = httpx2.post(stack.url + "/v1/jobs", json=BODY, headers=admin)
    assert refused.status_code == 403
    assert 'scope="label"' in refused.headers["www-authenticate"]
    assert httpx2.get(f"{stack.url}/v1/jobs/{job}/results", headers=admin).status_code == 403
    assert httpx2.delete(f"{stack.url}/v1/jobs/{job}", headers=admin).status_code == 204
    assert httpx2.get(f"{stack.url}/v1/jobs/{job}", headers=alice).status_code == 404
    assert httpx2.get(stack.url + "/v1/jobs?limit=500", headers=alice).status_code == 200


def test_a_revoked_key_is_out_within_a_second_or_two_without_a_restart(stack: Stack, alice: dict[str, str]) -> None:
    carol = create(stack, "carol", "label", "admin")
    assert "carol" in keys(stack, "list")
    keys(stack, "revoke", "carol")
    started = time.monotonic()
    wait_for(lambda: httpx2.get(stack.url + "/v1/jobs", headers=carol).status_code == 401, 5, "the end of the key")
    assert time.monotonic() - started < patience(3)
    assert "revoked" in keys(stack, "list")
    create(stack, "carol")  # the name is free again


def test_neither_redis_nor_the_list_holds_a_secret(stack: Stack, alice: dict[str, str]) -> None:
    secret = alice["Authorization"].rsplit("_", 1)[1]
    stored = b"".join(stack.redis.hgetall("tr:apikeys").values())
    assert secret.encode() not in stored
    assert secret not in keys(stack, "list")
    assert stack.api is not None
    assert secret not in stack.api.output()


def test_forged_key_records_let_nobody_in(stack: Stack, alice: dict[str, str]) -> None:
    stack.redis.hset("tr:apikeys", mapping={"bad": b"\xff", "a": "{}", "b": json.dumps({"id": "b", "sha256": ""})})
    try:
        time.sleep(1.1)
        for token in ("trk_bad_x", "trk_a_x", "trk_b_", "trk_b"):
            assert httpx2.get(stack.url + "/v1/jobs", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        assert httpx2.get(stack.url + "/v1/jobs", headers=alice).status_code == 200
    finally:
        stack.redis.hdel("tr:apikeys", "bad", "a", "b")


def test_the_last_key_revoked_locks_the_service_and_forgetting_it_opens_it(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        stack.start_api()
        assert httpx2.get(stack.url + "/v1/jobs").status_code == 200
        create(stack, "only")
        wait_for(lambda: httpx2.get(stack.url + "/v1/jobs").status_code == 401, 5, "the lock")
        keys(stack, "revoke", "only")
        time.sleep(1.1)
        assert httpx2.get(stack.url + "/v1/jobs").status_code == 401
        keys(stack, "revoke", "--forget")
        wait_for(lambda: httpx2.get(stack.url + "/v1/jobs").status_code == 200, 5, "the opening")


def test_a_wide_bind_is_refused_until_there_is_a_key_and_then_asks_for_one(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        with pytest.raises(AssertionError, match="no API key exists"):
            stack.start_api(0, "--host", "0.0.0.0")
        token = keys(stack, "create", "wide").splitlines()[0]
        stack.start_api(0, "--host", "0.0.0.0")
        url = stack.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(url + "/v1/jobs").status_code == 401
        assert httpx2.get(url + "/v1/jobs", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        keys(stack, "revoke", "wide", "--forget")
        time.sleep(1.1)
        assert httpx2.get(url + "/v1/jobs").status_code == 401, "a wide bind never opens by itself"


def test_keys_of_an_embedded_service_are_made_in_its_data_folder(tmp_path: Path) -> None:
    command = [*COMMAND, "keys", "create", "me", "--data-dir", str(tmp_path / "data")]
    assert subprocess.run(command, capture_output=True, check=False, timeout=patience(60)).stdout.startswith(b"trk_")
    again = subprocess.run(command, capture_output=True, check=False, timeout=patience(60), text=True)
    assert again.returncode == 1
    assert "already" in again.stderr


def test_only_an_admin_says_which_adapters_are_served_and_everybody_sees_them(
    stack: Stack, alice: dict[str, str], tmp_path: Path
) -> None:
    admin = create(stack, "adapter-operator", "admin")
    url = f"{stack.url}/v1/models/synthetic/adapters"
    write_adapter(tmp_path / "dpo", 1)
    body = {"source": str(tmp_path / "dpo")}
    assert httpx2.put(f"{url}/dpo", json=body, headers=alice).status_code == 403
    assert httpx2.put(f"{url}/dpo", json=body, headers=admin).status_code == 200
    assert [info["name"] for info in httpx2.get(url, headers=alice).json()["adapters"]] == ["dpo"]
    assert httpx2.get(url).status_code == 401
    assert httpx2.delete(f"{url}/dpo", headers=alice).status_code == 403
    assert httpx2.delete(f"{url}/dpo", headers=admin).status_code == 204
    assert httpx2.delete(f"{url}/dpo", headers=admin).status_code == 404
