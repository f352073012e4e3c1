"""Two versions meet in Redis while an upgrade rolls: what the newer one adds does not stop the older one."""

from __future__ import annotations

import json
import time

import pytest

from benchmarks.harness.stack import Stack, http
from tokenreward.protocol import keys
from tokenreward.protocol.records import Claim, Corrupt, ScoringOptions
from tokenreward.protocol.worker_records import ModelRecord
from tokenreward.schema import Provenance


def test_a_newer_workers_record_is_read_by_an_older_service(synthetic: Stack) -> None:
    (record,) = http.get(synthetic.url + "/v1/workers").json()["workers"]
    stored = json.loads(synthetic.redis.get(keys.worker(record["id"])) or b"{}")
    newer = stored | {"id": "newer", "temperature_of_the_gpu": 61}
    synthetic.redis.set(keys.worker("newer"), json.dumps(newer), ex=20)
    synthetic.redis.zadd(keys.WORKERS, {"newer": time.time() + 20})
    try:
        found = {worker["id"] for worker in http.get(synthetic.url + "/v1/workers").json()["workers"]}
        assert found >= {record["id"], "newer"}
    finally:
        synthetic.redis.zrem(keys.WORKERS, "newer")
        synthetic.redis.delete(keys.worker("newer"))


def test_an_older_worker_claims_what_a_newer_service_queued(synthetic: Stack) -> None:
    body = {"items": [{"prompt": "p", "response": "of a newer service"}]}
    job = http.post(synthetic.url + "/v1/label", json=body).json()["job"]["id"]
    options = json.loads(synthetic.redis.hget(keys.job(job), "options") or b"{}")
    provenance = options["provenance"]
    fingerprint = provenance["fingerprint"] | {"quantization": "none"}
    newer = options | {"priority": "high", "provenance": provenance | {"host": "h", "fingerprint": fingerprint}}
    member = {"job": job, "slice": 0, "offset": 0, "count": 1, "weight": 2}
    record = {
        "shard": "f" * 32,
        "members": [member],
        "jobs": {job: json.dumps(newer)},
        "front": False,
        "attempts": 0,
        "since": 1,
    }
    claim = Claim.parse(json.dumps(record))
    assert claim.jobs[job] == ScoringOptions.model_validate(options)
    assert claim.members[0].count == 1
    synthetic.redis.hset(keys.job(job), "options", json.dumps(newer))
    told = http.get(f"{synthetic.url}/v1/jobs/{job}").json()["provenance"]
    assert Provenance.model_validate(told) == Provenance.model_validate(provenance), "nor an older service"


def test_what_an_older_worker_does_not_know_of_a_template_it_does_not_score_without(synthetic: Stack) -> None:
    body = {"items": [{"prompt": "p", "response": "of a newer service"}]}
    job = http.post(synthetic.url + "/v1/label", json=body).json()["job"]["id"]
    options = json.loads(synthetic.redis.hget(keys.job(job), "options") or b"{}")
    options["template"]["branches"]["better"]["system"] = "Be strict."
    record = {"shard": "f" * 32, "members": [], "jobs": {job: json.dumps(options)}, "front": False, "attempts": 0}
    with pytest.raises(Corrupt):
        Claim.parse(json.dumps(record))


def test_a_job_of_a_fingerprint_that_nobody_serves_any_more_waits_and_says_so(synthetic: Stack) -> None:
    (model,) = http.get(synthetic.url + "/v1/models").json()["models"]
    old = json.loads(synthetic.redis.hget(keys.MODELS, model["fingerprint_digest"]) or b"{}")
    old["fingerprint"]["model_hash"] = "0" * 16
    record = ModelRecord.model_validate(old)
    digest = record.fingerprint.digest
    synthetic.redis.hset(keys.MODELS, digest, record.model_dump_json())
    try:
        body = {"items": [{"prompt": "p", "response": "r"}], "model": f"{model['name']}@{digest}"}
        waiting = http.post(synthetic.url + "/v1/jobs", json=body).json()
        assert waiting["provenance"]["fingerprint_digest"] == digest
        assert http.post(synthetic.url + "/v1/label", json=body).status_code == 503
        new = http.post(synthetic.url + "/v1/jobs", json=body | {"model": model["name"]}).json()
        assert new["provenance"]["fingerprint_digest"] == model["fingerprint_digest"], "those alive go first"
        time.sleep(1)
        assert http.get(f"{synthetic.url}/v1/jobs/{waiting['id']}").json()["state"] == "queued"
        http.delete(f"{synthetic.url}/v1/jobs/{waiting['id']}").raise_for_status()
    finally:
        synthetic.redis.hdel(keys.MODELS, digest)
        synthetic.redis.delete(keys.queued(digest))
