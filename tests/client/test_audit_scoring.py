"""Asking a real service for log-probs: what is asked for, how often, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.stack import Stack
from tokenreward import Client, estimators, templates
from tokenreward.audit import auditing, builtin, plan
from tokenreward.audit.scoring import score
from tokenreward.audit.served_models import chosen_model, labeler_labels
from tokenreward.audit.sets import PairSet, Response, SpanSet, thinned
from tokenreward.dataset.progress import Quiet
from tokenreward.errors import BadInput

LABELS = plan.labels(templates.of_one_model(), list(estimators.shipped().values()))
#: Something for every context field of a shipped template.
CONTEXT: dict[str, Any] = {
    "right": "a right one",
    "wrong": ["a wrong one", "another wrong one"],
    "reference": "a solution",
    "feedback": "some feedback",
    "unrelated": ["another question"],
    "outcome": "wrong",
    "revised": "answer 7, \U0001f642 revised",
}


@pytest.fixture(autouse=True)
def address(synthetic: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENREWARD_URL", synthetic.url)
    monkeypatch.setenv("TOKENREWARD_PATIENCE", "2")


def test_rewards_computed_here_are_those_the_service_gives() -> None:
    responses = [Response(f"question {n}", f"answer {n} \U0001f642 {'x' * n}", CONTEXT) for n in range(3)]
    with Client() as client:
        scores = score(
            client, [(response, LABELS) for response in responses], chosen_model(client.models(), None), Quiet()
        )
        for label in LABELS:
            theirs = client.label(
                [response.item(plan.Request.of(label).fields) for response in responses],
                template=label.template.name,
                estimator=label.estimator.name,
            ).results
            for response, result in zip(responses, theirs, strict=True):
                ours = scores.of(response)
                assert ours.token_ids == result.token_ids
                np.testing.assert_array_equal(ours.rewards(label), np.array(result.rewards, dtype=np.float32))


def test_two_versions_of_one_labeler_give_labels_of_two_names() -> None:
    with Client() as client:
        (served,) = client.models()
    other = served.model_copy(update={"fingerprint_digest": "0" * 64})
    models, name, digests = [served, other], served.name, (served.fingerprint_digest, other.fingerprint_digest)
    both = labeler_labels(models, [f"{name}@{digest}" for digest in digests])
    assert [label.name for label in both] == [f"rlmec@{name}@{digest}" for digest in digests]
    assert [label.name for label in labeler_labels(models, [name, f"{name}@{digests[0]}"])] == [f"rlmec@{name}"]
    assert chosen_model(models, None, [f"{name}@{digests[0]}"]) == other
    with pytest.raises(BadInput, match="none"):
        chosen_model(models, None, [name])


def test_a_response_is_scored_once_however_many_sets_and_labels_it_is_in() -> None:
    asked: list[int] = []

    class Counting(Quiet):
        def begin(self, total: int, done: int) -> None:
            asked.append(total)

    twice = [Response("p", text, CONTEXT) for text in ("one", "two", "one")]
    with Client() as client:
        before = Counter(job.id for job in client.jobs.list())
        scores = score(
            client, [(response, LABELS) for response in twice], chosen_model(client.models(), None), Counting()
        )
        after = Counter(job.id for job in client.jobs.list())
    assert asked == [2 * len(plan.requests(LABELS))]
    assert len(scores.by_key) == 2
    assert not after - before, "the audit leaves no jobs behind"


def test_another_service_version_with_another_template_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = templates.resolve("revision").model_copy(update={"context": "another {prompt}"})
    label = plan.labels([changed], [estimators.resolve("contrast")])
    monkeypatch.setattr(plan.Request, "sent", property(lambda request: request.template.name))
    with Client() as client, pytest.raises(BadInput, match="bring both to one version"):
        score(client, [(Response("p", "r"), label)], chosen_model(client.models(), None), Quiet())


def test_statistics_do_not_depend_on_the_other_sets_of_an_audit() -> None:
    spans_set, pair_set = (thinned(one, 12) for one in builtin.load(["code"]))
    assert isinstance(spans_set, SpanSet)
    assert isinstance(pair_set, PairSet)
    other = thinned(builtin.load(["entity"])[0], 12)
    with Client() as client:
        alone, together = (
            auditing.audit(
                client, sets, LABELS, model=chosen_model(client.models(), None), progress=Quiet(), resamples=50
            )
            for sets in ([spans_set], [other, spans_set, pair_set])
        )
    for name, figures in alone.spans[0].figures.items():
        assert together.spans[1].figures[name].auroc.interval == figures.auroc.interval
    assert set(together.overall) == set(alone.overall)
