"""`docker compose --profile cpu up`, without Docker: what the file says runs, labels with the demo model, and stops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest
import redis

from benchmarks.harness.waiting import patience
from tests.deploy.local import Composed
from tokenreward import Client
from tokenreward_workers.model_files import demo as demo_model
from tokenreward_workers.model_files.resolve import cache_dir


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    demo_model.ensure(cache_dir())
    with Composed(tmp_path_factory.mktemp("compose"), "cpu") as composed:
        # Converted models are kept between runs of the tests, as the volume is between runs of the service.
        (composed.volume("models") / "tokenreward").symlink_to(cache_dir())
        for name in composed.services:
            if name != "secrets":  # which the others ask for
                composed.up(name)
        yield composed


def test_the_profile_is_the_store_the_api_and_one_worker(up: Composed) -> None:
    assert set(up.services) == {"secrets", "redis", "api", "worker-cpu"}


def test_a_full_labeling_round_gives_rewards_of_the_demo_model(up: Composed) -> None:
    with Client(up.url) as client:
        answer = client.label([{"prompt": "What is 2+2?", "response": "2+2 equals 4."}], timeout=patience(60))
        assert len(answer.results[0].rewards or ()) == len(answer.results[0].token_ids or ()) > 5
        fingerprint = answer.provenance.fingerprint
        assert (fingerprint.model, fingerprint.engine) == (demo_model.NAME, "transformers")
        job = client.jobs.create([{"prompt": "Say a number.", "response": str(n)} for n in range(5)])
        assert client.jobs.wait(job.id, 60).state == "succeeded"
        assert [result.index for result in client.jobs.results(job.id)] == list(range(5))


def test_every_service_is_healthy_by_its_own_check(up: Composed) -> None:
    for name in ("redis", "api", "worker-cpu"):
        assert up.healthy(name), name


def test_redis_lets_nobody_in_without_a_password(up: Composed) -> None:
    stranger = redis.Redis(port=up.ports["redis"])
    assert stranger.ping()
    for call in (stranger.dbsize, lambda: stranger.get("x"), lambda: stranger.config_get("*")):
        with pytest.raises(redis.exceptions.NoPermissionError):
            call()


def test_prometheus_is_let_in_by_the_file_it_is_given(up: Composed) -> None:
    key = (up.volume("secrets-prometheus") / "metrics_key").read_text()
    found = httpx2.get(up.url + "/metrics", headers={"Authorization": f"Bearer {key}"})
    assert found.status_code == 200
    assert "tokenreward_worker_up{" in found.text


def test_a_page_of_another_site_does_not_get_through_the_published_port(up: Composed) -> None:
    assert httpx2.get(up.url + "/v1/models", headers={"Host": "evil.example"}).status_code == 421
    assert httpx2.get(up.url + "/v1/models", headers={"Host": "api:8383"}).status_code == 200


def test_no_secret_is_written_twice_or_into_a_log(up: Composed) -> None:
    volumes = ("secrets-redis", "secrets-api", "secrets-worker", "secrets-prometheus", "secrets-grafana")
    before = {file: file.read_text() for name in volumes for file in up.volume(name).iterdir()}
    assert len(before) == 7
    command = [sys.executable, "-m", "tokenreward_service.tools.redis_acl", str(up.folder / "roots/secrets/secrets")]
    assert "there already" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert before == {file: file.read_text() for file in before}
    for name in ("secrets", "redis", "api", "worker-cpu"):
        assert not any(secret in up.output(name) for secret in before.values())


def test_down_and_up_again_keeps_every_job_and_ends_every_process_in_time(up: Composed) -> None:
    with Client(up.url) as client:
        job = client.jobs.create([{"prompt": "p", "response": f"kept {n}"} for n in range(3)])
        kept = [result.rewards for result in client.jobs.results(job.id)]
        for name in ("worker-cpu", "api", "redis"):
            assert up.down(name) == 0, up.output(name)
        up.up("redis")
        up.up("api")
        assert client.jobs.get(job.id).state == "succeeded"
        assert [result.rewards for result in client.jobs.results(job.id)] == kept
