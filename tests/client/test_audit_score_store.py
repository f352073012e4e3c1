"""What a service has answered is kept: an interrupted audit goes on, and a rerun asks for nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.harness.stack import Stack
from tokenreward import Client
from tokenreward.audit.score_store import ScoreStore
from tokenreward.audit.set_files import load
from tokenreward.commands import audit
from tokenreward.dataset.progress import Lines
from tokenreward.errors import BadInput
from tokenreward.http.jobs import Jobs
from tokenreward.schema import ItemFailure, ItemResult

TOO_LONG = ItemFailure(code="too_long", message="m")
COMMON = ["--templates", "plain,opposite", "--quiet", "--resamples", "20"]


@pytest.fixture
def path(synthetic: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("TOKENREWARD_URL", synthetic.url)
    rows = [
        {
            "id": str(n),
            "prompt": f"p{n}",
            "response": f"It is {n}, so.",
            "bad_spans": [[6, 7]],
            "spans": [[0, 5], [6, 8]],
        }
        for n in range(9)
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items each job had."""
    found: list[int] = []
    real = Jobs.create

    def counting(self: Jobs, items: Any, **options: Any) -> Any:
        listed = list(items)
        found.append(len(listed))
        return real(self, iter(listed), **options)

    monkeypatch.setattr(Jobs, "create", counting)
    return found


def figures(out: Path) -> Any:
    found = json.loads((out / "audit.json").read_text())["figures"]
    return {name: value for name, value in found.items() if name != "seconds"}


def test_a_rerun_asks_for_nothing_that_was_scored_and_finds_the_same(
    path: str, asked: list[int], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert audit.main([path, *COMMON, "--out", str(out)]) == 0
    first = figures(out)
    assert sum(asked) == 18
    asked.clear()
    assert audit.main([path, *COMMON, "--out", str(out)]) == 0
    assert asked == []
    assert figures(out) == first
    assert audit.main([path, *COMMON, "--out", str(out), "--pool", "word"]) == 0
    assert asked == [], "pooling is computed here"


def test_an_interrupted_audit_goes_on_where_it_was(
    path: str, asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    real = Jobs.results

    def broken(self: Jobs, *given: Any, **options: Any) -> Any:
        for number, result in enumerate(real(self, *given, **options)):
            if number == 4:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(Jobs, "results", broken)
    with pytest.raises(KeyboardInterrupt):
        audit.main([path, *COMMON, "--out", str(out)])
    monkeypatch.setattr(Jobs, "results", real)
    asked.clear()
    assert audit.main([path, *COMMON, "--out", str(out)]) == 0
    assert sorted(asked) == [5, 9]
    assert audit.main([path, *COMMON, "--out", str(whole)]) == 0
    assert figures(out) == figures(whole)


def test_a_torn_line_and_an_error_are_asked_for_again(tmp_path: Path) -> None:
    good, bad = ItemResult(index=0, token_ids=[1]), ItemResult(index=1, error=TOO_LONG)
    with ScoreStore(tmp_path) as store:
        with store.writing("a.jsonl") as writer:
            for name, result in (("x", good), ("y", bad)):
                writer.add({"prompt": name}, result)
        file = tmp_path / "a.jsonl"
        file.write_bytes(file.read_bytes() + b'{"item": "torn')
        with store.writing("a.jsonl") as writer:
            writer.add({"prompt": "z"}, good)
        found = store.known("a.jsonl", [{"prompt": name} for name in "xyz"])
        assert sorted(found) == [0, 2]
        assert store.known("b.jsonl", [{"prompt": "x"}]) == {}


def test_two_audits_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with ScoreStore(tmp_path), pytest.raises(BadInput, match="another run"), ScoreStore(tmp_path):
        pass


def test_rewards_are_pooled_over_the_items_own_spans(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert audit.main([path, *COMMON, "--out", str(out), "--pool", "spans"]) == 0
    assert (
        json.loads((out / "audit.json").read_text())["provenance"]["labels"]["plain/surprisal"]["pool"] == "spans:mean"
    )
    without = tmp_path / "without.jsonl"
    without.write_text(json.dumps({"prompt": "p", "response": "It is 5.", "bad_spans": [[6, 7]]}) + "\n")
    with pytest.raises(BadInput, match="column `spans` to pool over"):
        audit.main([str(without), *COMMON, "--pool", "spans"])
    crossing = json.loads(Path(path).read_text().splitlines()[0]) | {"spans": [[0, 5], [4, 8]]}
    without.write_text(json.dumps(crossing) + "\n")
    with pytest.raises(BadInput, match=r"line 1, field 'spans': \[4, 8\] begins before \[0, 5\] ends"):
        load(without)


def test_figures_and_sets_may_be_parquet(path: str, tmp_path: Path) -> None:
    import pyarrow as pa

    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mine.parquet")
    out = tmp_path / "out"
    table = str(out / "audit.parquet")
    assert audit.main([str(tmp_path / "mine.parquet"), *COMMON, "--out", str(out), "--parquet", table]) == 0
    found = {(row["set"], row["label"], row["figure"]): row for row in pq.read_table(table).to_pylist()}
    value, low, high = figures(out)["auroc"]["mine"]["plain/surprisal"]
    assert found[("mine", "plain/surprisal", "auroc")] == {
        "kind": "spans",
        "set": "mine",
        "label": "plain/surprisal",
        "figure": "auroc",
        "value": value,
        "low": low,
        "high": high,
    }
    assert audit.main([path, *COMMON, "--out", str(tmp_path / "again")]) == 0
    assert figures(tmp_path / "again") == figures(out)


def test_a_set_may_be_cut_to_so_many_responses(path: str, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps({"prompt": f"p{n}", "chosen": "a", "rejected": "b"}) + "\n" for n in range(9)))
    out = tmp_path / "out"
    assert audit.main([path, str(pairs), *COMMON, "--out", str(out), "--responses", "4"]) == 0
    assert figures(out)["audited"] == {"mine": 4}
    assert figures(out)["audited_pairs"] == {"pairs": 2}


def test_progress_counts_what_was_scored_before(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], synthetic: Stack
) -> None:
    from tokenreward import estimators, templates
    from tokenreward.audit import plan
    from tokenreward.audit.scoring import score
    from tokenreward.audit.served_models import chosen_model

    labels = plan.labels([templates.resolve("plain")], [estimators.resolve("surprisal")])
    wanted = [(response, labels) for item in load(Path(path)).items for response in item.responses]
    with Client(synthetic.url) as client:
        model = chosen_model(client.models(), None)
        score(client, wanted[:5], model, Lines(), ScoreStore(tmp_path / "scores"))
        score(client, wanted, model, Lines(), ScoreStore(tmp_path / "scores"))
    assert "labeled 9/9 responses" in capsys.readouterr().err
