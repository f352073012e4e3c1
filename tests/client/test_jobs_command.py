"""`tokenreward jobs` against the real service."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience
from tokenreward import Client, cli
from tokenreward.schema import Job


@pytest.fixture
def job(synthetic: Stack) -> Iterator[Job]:
    """A finished job of three items, the last of which is wrong."""
    with Client(synthetic.url) as client:
        items = [{"prompt": "p", "response": "good"}] * 2 + [{"prompt": "p", "response": ""}]
        made = client.jobs.wait(client.jobs.create(items).id, timeout=patience(30))
        assert not made.all_failed
        yield made
        client.jobs.delete(made.id)


def run(synthetic: Stack, capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.main(["jobs", *argv, "--url", synthetic.url])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_list_shows_jobs_newest_first(synthetic: Stack, capsys: pytest.CaptureFixture[str], job: Job) -> None:
    code, out, _ = run(synthetic, capsys, "list", "--limit", "5")
    assert code == 0
    heading, first, *_ = out.splitlines()
    assert heading.split()[:4] == ["ID", "STATE", "ITEMS", "FAILED"]
    assert first.split()[:4] == [job.id, "succeeded", "3/3", "1"]
    _, out, _ = run(synthetic, capsys, "list", "--json")
    assert json.loads(out.splitlines()[0])["id"] == job.id


def test_show_tells_where_rewards_come_from_and_what_went_wrong(
    synthetic: Stack, capsys: pytest.CaptureFixture[str], job: Job
) -> None:
    code, out, _ = run(synthetic, capsys, "show", job.id)
    assert code == 0
    assert f"{job.id} succeeded" in out
    assert "3 of 3 done, 1 of them failed" in out
    assert f"synthetic@{job.provenance.fingerprint_digest}" in out
    assert "item 2: invalid_item: the response is empty" in out


def test_watch_ends_with_the_jobs_outcome(synthetic: Stack, capsys: pytest.CaptureFixture[str], job: Job) -> None:
    code, out, _ = run(synthetic, capsys, "watch", job.id)
    assert (code, out) == (3, f"{job.id} succeeded, 1 of 3 items failed\n")


def test_a_job_whose_items_all_failed_is_not_called_a_success(
    synthetic: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(synthetic.url) as client:
        created = client.jobs.create([{"prompt": "p", "response": ""}] * 2)
        job = client.jobs.wait(created.id, timeout=patience(30))
        assert job.all_failed
        assert job.state == "succeeded", "clients of 0.1.0 know no other state for it"
        code, out, _ = run(synthetic, capsys, "watch", job.id)
        assert (code, out) == (3, f"{job.id} all failed, 2 of 2 items failed\n")
        assert f"{job.id} all failed" in run(synthetic, capsys, "show", job.id)[1]
        assert f"{job.id} all failed" in run(synthetic, capsys, "list", "--limit", "1")[1]
        client.jobs.delete(job.id)


def test_retry_and_cancel_say_what_they_did_or_why_not(
    synthetic: Stack, capsys: pytest.CaptureFixture[str], job: Job
) -> None:
    code, _, err = run(synthetic, capsys, "cancel", job.id)
    assert code == 1
    assert "nothing to cancel" in err
    code, out, _ = run(synthetic, capsys, "retry", job.id)
    assert code == 0
    assert "1 items are scored again" in out


def test_an_unknown_job_is_a_message(synthetic: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(synthetic, capsys, "show", "nope")
    assert code == 1
    assert "No such job" in err


def test_an_action_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["jobs"])
    assert caught.value.code == 2
    assert "ACTION" in capsys.readouterr().err
