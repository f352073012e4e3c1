"""What was understood is said before the first row is sent, and a dry run stops there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.fake_service import FakeService
from tests.support.rows import write
from tokenreward import Client, cli, label_dataset
from tokenreward.http.exchange import Reply
from tokenreward.http.responses import tokens_per_second

HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Sing\n\nAssistant: "
PAIRS = [{"chosen": f"{HH}La {n}", "rejected": f"{HH}No {n}"} for n in range(3)]


def test_what_was_understood_is_said_with_the_first_row(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "in.jsonl", *PAIRS)
    assert cli.main(["label", str(path), "--out", str(tmp_path / "out.jsonl"), "--url", service.url]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        "3 rows, preference, transcripts; prompt = what `chosen` begins with, 3 turns; response = `chosen` and "
        "`rejected`; e.g."
    )
    assert said[1:4] == [
        '  prompt    "User: Hi Assistant: Hello. User: Sing"',
        '  chosen    "La 0"',
        '  rejected  "No 0"',
    ]
    assert not any("warning" in line for line in said)


def test_a_guess_is_a_warning_even_where_no_progress_is_shown(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = write(tmp_path / "in.jsonl", {"chosen": "Q: a\nA: b", "rejected": "Q: a\nA: c"}), tmp_path / "o.jsonl"
    assert cli.main(["label", str(path), "--out", str(out), "--url", service.url, "--quiet"]) == 0
    assert capsys.readouterr().err == (
        "warning: the rows have no `prompt`; it is guessed to end at the last 'A:'. The first row: prompt "
        '"Q: a A:", chosen "b", rejected "c". If that is wrong, give the file a column `prompt`\n'
    )
    with pytest.warns(UserWarning, match="it is guessed to end at the last 'A:'"):
        label_dataset(path, tmp_path / "p.jsonl", url=service.url)


def test_a_dry_run_sends_and_writes_nothing(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "in.jsonl", *PAIRS, {"chosen": "x", "rejected": "y"})
    assert cli.main(["label", str(path), "--dry-run", "--skip-invalid", "--url", service.url]) == 0
    said = capsys.readouterr().out
    assert "3 rows (1 more row left out), preference, transcripts" in said
    assert re.search(r"6 responses in 1 job, about [\d,]+ tokens to score", said)
    assert (service.scored, [file.name for file in tmp_path.iterdir()]) == (0, ["in.jsonl"])


def test_a_dry_run_needs_no_service_and_says_what_it_cannot_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "in.jsonl", *PAIRS)
    assert cli.main(["label", str(path), "--dry-run", "--url", "http://127.0.0.1:9"]) == 0
    assert "no estimate of the time: http://127.0.0.1:9" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "name"), [("--template", "revison"), ("--estimator", "evidenc")])
def test_a_dry_run_refuses_a_name_that_nobody_knows(
    option: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "in.jsonl", *PAIRS)
    assert cli.main(["label", str(path), "--dry-run", option, name, "--url", "http://127.0.0.1:9"]) != 0
    assert "did you mean" in capsys.readouterr().err


def test_a_dry_run_estimates_tokens_and_time(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": "How are you today? " * 20, "response": "Thank you, quite well. " * 10} for _ in range(400)]
    monkeypatch.setattr(Client, "tokens_per_second", lambda *_: 1000.0)
    path = write(tmp_path / "in.jsonl", *rows)
    assert cli.main(["label", str(path), "--dry-run", "--url", service.url]) == 0
    said = capsys.readouterr().out
    found = re.search(r"about ([\d,]+) tokens", said)
    assert found is not None
    tokens = int(found[1].replace(",", ""))
    # Two branches of a prompt that shows the response, some 200 characters of the template's own, and the response.
    characters = sum(2 * (len(row["prompt"]) + 2 * len(row["response"]) + 200) for row in rows)
    assert tokens == pytest.approx(characters / 4, rel=0.2)
    assert f"about {tokens / 60_000:.0f} min at the 1,000 tokens/s that its workers measured" in said


def test_the_speed_of_a_model_is_that_of_all_its_live_workers() -> None:
    worker = {"fingerprint_digest": "f1", "more": 1}
    known = [worker | {"model": "a", "tokens_per_second": 5.0}, worker | {"model": "a", "tokens_per_second": None}]
    other = worker | {"model": "b", "tokens_per_second": 7.0}
    reply = Reply(200, {}, json.dumps({"workers": [*known, other]}).encode())
    assert [tokens_per_second(reply, model) for model in (None, "a", "b@f1", "c")] == [12.0, 5.0, 7.0, None]
