"""What an audit found is kept for those who look at the same labels, and for nobody else."""

from __future__ import annotations

import httpx2

from benchmarks.harness.stack import Stack

VERDICT = {
    "fingerprint_digest": "f",
    "template": "revision",
    "template_hash": "t",
    "estimator": "contrast",
    "estimator_hash": "e",
    "advice": "no",
    "words": "these labels find the errors no better than chance: do not train on them",
    "responses": 300,
}


def put(stack: Stack, *verdicts: dict) -> httpx2.Response:
    return httpx2.put(stack.url + "/v1/audits", json={"audits": verdicts})


def test_the_last_verdict_on_a_label_replaces_the_former_one(synthetic: Stack) -> None:
    put(synthetic, VERDICT, VERDICT | {"template_hash": "other"}).raise_for_status()
    put(synthetic, VERDICT | {"advice": "yes", "words": "worth a training run"}).raise_for_status()
    found = httpx2.get(synthetic.url + "/v1/audits").json()["audits"]
    mine = [one for one in found if one["fingerprint_digest"] == "f"]
    assert [(one["template_hash"], one["advice"]) for one in mine] == [("t", "yes"), ("other", "no")]
    assert mine[0]["at"] > mine[1]["at"]


def test_a_verdict_that_makes_no_sense_is_refused_as_a_problem(synthetic: Stack) -> None:
    answer = put(synthetic, VERDICT | {"advice": "perhaps"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].endswith("/advice")


def test_the_newest_two_hundred_verdicts_are_kept(synthetic: Stack) -> None:
    put(synthetic, VERDICT | {"fingerprint_digest": "old"}).raise_for_status()
    answer = put(synthetic, *(VERDICT | {"template_hash": f"t{n}"} for n in range(200)))
    found = httpx2.get(synthetic.url + "/v1/audits").json()["audits"]
    assert answer.json()["audits"] == found
    assert sorted(one["template_hash"] for one in found) == sorted(f"t{n}" for n in range(200))
