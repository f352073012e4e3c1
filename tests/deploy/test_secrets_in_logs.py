"""No password, key or token reaches a log, whatever is logged: every logger writes everything, and things go wrong."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from benchmarks.harness.processes import COMMAND
from benchmarks.harness.stack import http
from benchmarks.harness.waiting import patience, wait_for
from tests.deploy.test_redis_access import Guarded
from tests.support.jobs import items

HUB_TOKEN = "hf_secretOfTheHub"
METRICS_KEY = "secret-of-the-metrics"
#: Put in front of everything else that Python imports: no logger holds anything back.
EVERYTHING_IS_LOGGED = """
import logging
logging.Logger.isEnabledFor = lambda self, level: True
logging.Logger.getEffectiveLevel = lambda self: logging.DEBUG
"""


@pytest.mark.timeout(240)
def test_no_secret_is_logged_under_load_and_faults(tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(EVERYTHING_IS_LOGGED)
    with Guarded(tmp_path) as stack:
        stack.environment |= {
            "PYTHONPATH": str(tmp_path / "path"),
            "HF_TOKEN": HUB_TOKEN,
            "TOKENREWARD_METRICS_KEY": METRICS_KEY,
        }
        made = [*COMMAND, "keys", "create", "tester", "--redis-url", stack.url_of("api")]
        token = subprocess.run(made, capture_output=True, text=True, check=True).stdout.split()[0]
        stack.redis_url = stack.url_of("api")
        stack.start_api()
        worker = stack.start_worker()
        stack.wait_ready()
        key = {"Authorization": f"Bearer {token}"}

        def call(n: int) -> None:
            http.post(stack.url + "/v1/label", json={"items": items(2)}, headers=key, timeout=patience(60))
            http.post(stack.url + "/v1/jobs", json={"items": items(10 + n)}, headers=key | {"Idempotency-Key": str(n)})
            http.get(stack.url + "/v1/jobs", headers={"Authorization": f"Bearer {token}wrong"})
            http.get(stack.url + "/metrics", headers={"Authorization": f"Bearer {METRICS_KEY}"})
            http.get(f"{stack.url}/v1/jobs?key={token}", headers=key)

        threads = [threading.Thread(target=call, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stack.valkey is not None
        stack.valkey.kill()
        wait_for(lambda: http.get(stack.url + "/v1/jobs", headers=key).status_code == 503, 30, "trouble")
        wait_for(lambda: "waiting" in worker.output() or "Redis" in worker.output(), 30, "the worker's trouble")
        stack.start_valkey()
        wait_for(lambda: http.get(stack.url + "/v1/jobs", headers=key).status_code == 200, 30, "its end")
        wrong = stack.url_of("worker").replace("worker:", "worker:x")
        stack.start_worker(TOKENREWARD_REDIS_URL=wrong).wait(60)
        secrets = {HUB_TOKEN, METRICS_KEY, token}
        for user in ("api", "worker", "admin"):
            secrets.add(stack.url_of(user).partition("@")[0].rpartition(":")[2])
    logs = [log.read_text("utf-8", "replace") for log in tmp_path.glob("*.log")]
    assert any(" DEBUG " in log for log in logs), "everything was logged"
    assert [secret for secret in secrets for log in logs if secret in log] == []
