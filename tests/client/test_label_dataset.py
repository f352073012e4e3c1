"""Labeling whole files: formats, order, failures, and going on after every kind of interruption."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_service import FakeService, reward
from tokenreward import BadInput, Client, ConnectionFailed, JobFailed, Labeled, cli, label_dataset
from tokenreward.dataset import read_meta
from tokenreward.schema import JobState, Provenance

pytestmark = pytest.mark.processes

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"id": f"row-{i}", "prompt": f"p{i}", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(count)]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def label(service: FakeService, data: Any, out: Path | None, **options: Any) -> Labeled:
    return label_dataset(data, out, url=service.url, **{"rows_per_job": 8, **options})


def expected(text: str) -> tuple[list[int], list[float]]:
    return [ord(c) for c in text], [reward(c, i) for i, c in enumerate(text)]


def check(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for side in ("chosen", "rejected"):
            ids, rewards = expected(row[side])
            assert list(row[f"{side}_token_ids"]) == ids
            assert list(row[f"{side}_token_rewards"]) == pytest.approx(rewards)
            error = row[f"{side}_token_error"]
            assert error is None or error != error  # what pandas makes of a null is NaN


def test_preference_jsonl_keeps_its_rows_and_gains_labels(service: FakeService, tmp_path: Path) -> None:
    rows = pairs(50)
    out = tmp_path / "out.jsonl"
    labeled = label(service, write_jsonl(tmp_path / "in.jsonl", rows), out)
    written = read_jsonl(out)
    check(written)
    assert [{key: row[key] for key in rows[0]} for row in written] == rows
    assert (labeled.rows, labeled.responses, labeled.failed, labeled.already) == (50, 100, 0, False)
    assert labeled.tokens == sum(len(row["chosen"]) + len(row["rejected"]) for row in rows)
    meta = json.loads((tmp_path / "out.jsonl.meta.json").read_text())
    assert Provenance(**meta["provenance"]) == labeled.provenance
    assert meta["labels"]["kind"] == "preference"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "out.jsonl.meta.json"]


def test_response_rows_have_the_columns_of_the_contract(service: FakeService, tmp_path: Path) -> None:
    rows = [{"id": "a", "prompt": [{"role": "user", "content": "p"}], "response": "naïve 日本 👩‍👩‍👧 \u2028 x"}]
    label(service, write_jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", tokens=True)
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert list(row) == [*rows[0], "token_ids", "token_rewards", "token_error", "tokens", "token_offsets"]
    assert "".join(row["tokens"]) == rows[0]["response"]
    assert row["token_offsets"][:2] == [[0, 1], [1, 2]]


def test_parquet_keeps_its_columns_and_round_trips(service: FakeService, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pandas = pytest.importorskip("pandas")
    table = pa.Table.from_pylist([row | {"score": i / 3, "tags": ["x"] * (i % 3)} for i, row in enumerate(pairs(100))])
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=7)
    out = tmp_path / "out.parquet"
    labeled = label(service, tmp_path / "in.parquet", out, tokens=True)
    written = pq.read_table(out)
    assert written.select(table.column_names) == table
    assert written.schema.field("chosen_token_ids").type == pa.list_(pa.int32())
    assert written.schema.field("rejected_token_rewards").type == pa.list_(pa.float32())
    check(written.to_pylist())
    meta = read_meta(out)
    assert meta is not None
    assert Provenance(**meta["provenance"]) == labeled.provenance
    loaded = datasets.load_dataset("parquet", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache"))
    check(list(loaded))
    check(pandas.read_parquet(out).to_dict("records"))
    assert labeled.dataset()[3]["chosen_token_ids"] == expected("yes 3")[0]


def test_jsonl_becomes_parquet_with_types_that_fit_every_row(service: FakeService, tmp_path: Path) -> None:
    rows = [row | {"score": i if i < 1500 else i / 2, "tags": None} for i, row in enumerate(pairs(1600))]
    rows[1550]["tags"] = ["late"]
    rows[1599]["only here"] = True
    out = tmp_path / "out.parquet"
    label(service, write_jsonl(tmp_path / "in.jsonl", rows), out, rows_per_job=500)
    written = pq.read_table(out)
    assert written.schema.field("score").type == pa.float64()
    assert written.schema.field("tags").type == pa.list_(pa.string())
    assert written["only here"].to_pylist() == [None] * 1599 + [True]
    check(written.to_pylist())
    rows[1580]["score"] = "high"
    with pytest.raises(BadInput, match="line 1581, column 'score': no one type holds it and the values before it"):
        label(service, write_jsonl(tmp_path / "bad.jsonl", rows), tmp_path / "bad.parquet")


def test_arrow_files_and_streams_are_read_and_written(service: FakeService, tmp_path: Path) -> None:
    table = pa.Table.from_pylist(pairs(30))
    for name, new in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        path, out = tmp_path / f"{name}.arrow", tmp_path / f"{name}-out.arrow"
        with new(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=11)
        label(service, path, out)
        with pa.memory_map(str(out)) as file:
            check(pa.ipc.open_stream(file).read_all().to_pylist())


def test_a_dataset_in_memory_and_on_disk(service: FakeService, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    ds = datasets.Dataset.from_list(pairs(20)).shuffle(seed=1)
    labeled = label(service, ds, None).dataset()
    assert labeled["id"][:] == ds["id"][:]
    check(list(labeled))
    datasets.DatasetDict({"train": ds, "test": ds.select(range(3))}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(BadInput, match="splits train, test"):
        label(service, tmp_path / "saved", tmp_path / "out.parquet")
    label(service, tmp_path / "saved", tmp_path / "out.parquet", split="test")
    check(pq.read_table(tmp_path / "out.parquet").to_pylist())
    ds.to_parquet(str(tmp_path / "described.parquet"))  # `datasets` describes the columns in the schema
    described = label(service, tmp_path / "described.parquet", tmp_path / "described-out.parquet").dataset()
    assert described["rejected_token_ids"][0] == expected(ds["rejected"][0])[0]
    label(service, ds.to_iterable_dataset(), tmp_path / "streamed.parquet")
    assert pq.read_table(tmp_path / "streamed.parquet").num_rows == 20


def test_a_response_without_rewards_keeps_its_place(service: FakeService, tmp_path: Path) -> None:
    rows = pairs(20)
    rows[3]["chosen"] = "TOO LONG"
    for suffix in ("jsonl", "parquet"):
        path, out = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
        if suffix == "jsonl":
            write_jsonl(path, rows)
        else:
            pq.write_table(pa.Table.from_pylist(rows), path)
        labeled = label(service, path, out)
        written = read_jsonl(out) if suffix == "jsonl" else pq.read_table(out).to_pylist()
        assert written[3]["chosen_token_ids"] is None
        assert written[3]["chosen_token_rewards"] is None
        assert written[3]["chosen_token_error"] == "too_long: 9000 tokens, the model takes 8192"
        assert written[3]["rejected_token_ids"] == expected("no 3")[0]
        check(written[:3] + written[4:])
        assert labeled.failed == 1
        assert labeled.reasons == {"too_long: 9000 tokens, the model takes 8192": 1}


def test_every_row_is_checked_before_anything_is_labeled(service: FakeService, tmp_path: Path) -> None:
    rows = pairs(100)
    rows[97]["rejected"] = ""
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    with pytest.raises(BadInput, match=r"in\.jsonl, line 98, column 'rejected': empty"):
        label(service, path, tmp_path / "out.jsonl")
    assert service.requests == 0
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"prompt": "p", "response": "r"}\n{"prompt": \n', r"line 2: not JSON"),
        ("a.jsonl", b'{"prompt": "p", "response": "\xff"}\n', r"line 1: not JSON"),
        ("a.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("a.jsonl", b"\n\n", "there are no rows"),
        ("a.csv", b"prompt,response\n", "there are no rows"),
        ("a.txt", b"prompt: response\n", r"labels \.jsonl, \.json, \.csv, .*, not '\.txt'"),
        ("a.parquet", b"PAR1 is not all", "cannot be read"),
        ("a.arrow", b"ARROW1 is not all", "cannot be read"),
    ],
)
def test_an_unreadable_file_is_named(
    service: FakeService, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        label(service, tmp_path / name, tmp_path / f"out{Path(name).suffix}")
    assert service.requests == 0


def test_paths_that_cannot_be_are_errors(service: FakeService, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "in.jsonl", pairs(1))
    for data, out, says in [
        (tmp_path / "none.jsonl", tmp_path / "out.jsonl", "no such file"),
        (path, tmp_path / "out.csv", r"the output is \.jsonl .*, not '\.csv'"),
        (path, path, "would replace the input"),
        (path, tmp_path / "none" / "out.jsonl", "no such directory"),
    ]:
        with pytest.raises(BadInput, match=says):
            label(service, data, out)


def test_the_same_call_again_does_nothing(service: FakeService, tmp_path: Path) -> None:
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(20)), tmp_path / "out.jsonl"
    first = label(service, path, out)
    before, scored = out.read_bytes(), service.scored
    again = label(service, path, out)
    assert again.already
    assert (again.rows, again.tokens, again.provenance) == (first.rows, first.tokens, first.provenance)
    assert (out.read_bytes(), service.scored) == (before, scored)


def test_the_same_call_with_jobs_of_another_size_does_nothing(service: FakeService, tmp_path: Path) -> None:
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(20)), tmp_path / "out.jsonl"
    label(service, path, out)
    assert label(service, path, out, rows_per_job=5).already


def test_an_output_of_an_older_version_is_recognised(service: FakeService, tmp_path: Path) -> None:
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(20)), tmp_path / "out.jsonl"
    label(service, path, out)
    note = tmp_path / "out.jsonl.meta.json"
    meta = json.loads(note.read_text())
    assert meta["labels"]["plan"].pop("input_items")
    assert meta["labels"]["plan"].pop("input_columns")
    note.write_text(json.dumps(meta))
    assert label(service, path, out).already
    with pytest.raises(BadInput, match=r"\(input differ\)"):
        label(service, write_jsonl(path, [*pairs(19), pairs(30)[29]]), out)


def test_a_column_that_no_item_reads_is_part_of_the_input(service: FakeService, tmp_path: Path) -> None:
    rows, out = pairs(20), tmp_path / "out.jsonl"
    label(service, write_jsonl(tmp_path / "in.jsonl", [row | {"score": 1} for row in rows]), out)
    corrected = write_jsonl(tmp_path / "in.jsonl", [row | {"score": int(n != 19)} for n, row in enumerate(rows)])
    with pytest.raises(BadInput, match=r"\(input differ\)"):
        label(service, corrected, out)


def test_an_output_that_holds_something_else_is_left_alone(service: FakeService, tmp_path: Path) -> None:
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(5)), tmp_path / "out.jsonl"
    out.write_text("my diary\n")
    with pytest.raises(BadInput, match="not a labeled file; nothing was overwritten"):
        label(service, path, out)
    assert out.read_text() == "my diary\n"
    out.unlink()
    label(service, path, out)
    before = out.read_bytes()
    for options, says in [
        ({"template": "opposite"}, r"\(template, template_hash differ\)"),
        ({"model": "other"}, r"\(model differ\)"),
        ({"tokens": True}, r"\(tokens differ\)"),
    ]:
        with pytest.raises(BadInput, match=says):
            label(service, path, out, **options)
    with pytest.raises(BadInput, match=r"\(input, rows differ\)"):
        label(service, write_jsonl(tmp_path / "other.jsonl", pairs(6)), out)
    assert out.read_bytes() == before


def test_a_dropped_connection_costs_nothing_but_time(service: FakeService, tmp_path: Path) -> None:
    random.seed(3)
    service.drop_share = 0.15
    path = write_jsonl(tmp_path / "in.jsonl", pairs(60))
    while True:
        try:
            label(service, path, tmp_path / "out.jsonl")
            break
        except ConnectionFailed:  # the very first question is asked once only
            continue
    check(read_jsonl(tmp_path / "out.jsonl"))
    assert service.scored == 120


def test_a_service_that_goes_away_for_a_while_is_waited_for(service: FakeService, tmp_path: Path) -> None:
    service.seconds_per_item = 0.02
    path = write_jsonl(tmp_path / "in.jsonl", pairs(60))

    def leave() -> None:
        service.away_until = time.monotonic() + 2

    threading.Timer(0.5, leave).start()
    label(service, path, tmp_path / "out.jsonl")
    check(read_jsonl(tmp_path / "out.jsonl"))
    assert service.scored == 120


def test_a_run_that_was_interrupted_goes_on(service: FakeService, tmp_path: Path) -> None:
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(80)), tmp_path / "out.jsonl"

    created, original = 0, service.create

    def create(key: str, body: bytes, query: dict[str, list[str]]) -> Any:
        nonlocal created
        created += 1
        if created == 7:
            service.away_until = time.monotonic() + 1e6
        return original(key, body, query)

    service.create = create  # type: ignore[method-assign]
    with Client(service.url, patience=0.5) as client, pytest.raises(ConnectionFailed):
        label(service, path, out, client=client)
    assert not out.exists()
    assert (tmp_path / "out.jsonl.partial").is_dir()
    service.away_until = 0
    label(service, path, out)
    check(read_jsonl(out))
    assert service.scored == 160
    assert not (tmp_path / "out.jsonl.partial").exists()


def test_a_run_that_broke_off_in_its_first_job_finds_that_job_again(service: FakeService, tmp_path: Path) -> None:
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(40)), tmp_path / "out.jsonl"
    result, broken = service.result, False

    def leave(*arguments: Any) -> Any:
        nonlocal broken
        if not broken:
            broken, service.away_until = True, time.monotonic() + 1e6
        return result(*arguments)

    service.result = leave  # type: ignore[method-assign]
    with Client(service.url, patience=0.5) as client, pytest.raises(ConnectionFailed):
        label(service, path, out, client=client)
    service.away_until = 0
    label(service, path, out)
    check(read_jsonl(out))
    assert service.scored == 80


def test_a_job_that_was_cancelled_is_an_error_and_made_anew_by_a_rerun(service: FakeService, tmp_path: Path) -> None:
    service.seconds_per_item = 0.05
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(16)), tmp_path / "out.jsonl"

    def cancel() -> None:
        next(iter(service.jobs.values())).state = JobState.cancelled

    threading.Timer(0.4, cancel).start()
    with pytest.raises(JobFailed, match="cancelled"):
        label(service, path, out)
    service.seconds_per_item = 0
    label(service, path, out)
    check(read_jsonl(out))


def test_a_beginning_of_other_work_is_not_mixed_with_this(service: FakeService, tmp_path: Path) -> None:
    service.seconds_per_item = 0.05
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(16)), tmp_path / "out.jsonl"

    def cancel() -> None:
        list(service.jobs.values())[-1].state = JobState.cancelled

    threading.Timer(0.4, cancel).start()
    with pytest.raises(JobFailed):
        label(service, path, out)
    with pytest.raises(BadInput, match=r"beginning of another run \(template, template_hash differ\)"):
        label(service, path, out, template="opposite")
    service.engine_version = "2"
    service.seconds_per_item = 0
    with pytest.raises(BadInput, match="this run began as tiny@"):
        label(service, path, out)


def test_later_jobs_insist_on_the_first_ones_fingerprint(service: FakeService, tmp_path: Path) -> None:
    labeled = label(service, write_jsonl(tmp_path / "in.jsonl", pairs(30)), tmp_path / "out.jsonl")
    first, *others = (job.query.get("model", [None])[0] for job in service.jobs.values())
    assert first is None
    assert set(others) == {f"tiny@{labeled.provenance.fingerprint_digest}"}


def test_finished_jobs_are_removed_unless_kept(service: FakeService, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "in.jsonl", pairs(30))
    label(service, path, tmp_path / "kept.jsonl", keep_jobs=True)
    assert service.deleted == 0
    label(service, path, tmp_path / "out.jsonl")
    assert service.deleted == 4


def _command(service: FakeService, path: Path, out: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "tokenreward.cli", "label", str(path), "--out", str(out), "--url", service.url]
    return [*command, "--rows-per-job", "8", *more]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_killed_at_any_moment_the_same_command_ends_with_the_same_file(
    service: FakeService, tmp_path: Path, suffix: str
) -> None:
    random.seed(7)
    rows = pairs(200)
    path, out = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    if suffix == "jsonl":
        write_jsonl(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    undisturbed = tmp_path / f"undisturbed.{suffix}"
    label(service, path, undisturbed)
    service.scored, service.seconds_per_item = 0, 0.005
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(_command(service, path, out), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=random.uniform(0.3, 1.5) if kills < 4 else 60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert kills >= 2
    if suffix == "jsonl":
        assert out.read_bytes() == undisturbed.read_bytes()
    else:
        assert pq.read_table(out) == pq.read_table(undisturbed)
    assert service.scored == 400


def test_two_runs_on_one_output_do_not_mix(service: FakeService, tmp_path: Path) -> None:
    service.seconds_per_item = 0.05
    path, out = write_jsonl(tmp_path / "in.jsonl", pairs(100)), tmp_path / "out.jsonl"
    with subprocess.Popen(_command(service, path, out), stderr=subprocess.PIPE) as first:
        while not (tmp_path / "out.jsonl.partial" / "run.json").exists():
            time.sleep(0.05)
        with pytest.raises(BadInput, match="another run of tokenreward is working"):
            label(service, path, out)
        first.kill()


def test_the_command_says_what_came_of_it(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pairs(3)
    path, out = write_jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    assert cli.main(["label", str(path), "--out", str(out), "--url", service.url]) == 0
    said = capsys.readouterr()
    assert "out.jsonl labeled: 3 rows, 6 responses, 27 tokens by tiny (synthetic, float32)" in said.out
    assert "labeled 6/6 responses" in said.err
    rows[0]["chosen"] = "TOO LONG"
    write_jsonl(path, rows)
    out2 = tmp_path / "two.jsonl"
    assert cli.main(["label", str(path), "--out", str(out2), "--url", service.url, "--quiet"]) == 3
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "1 of 6 responses have an error instead of rewards:",
        "  1 x too_long: 9000 tokens, the model takes 8192",
    ]


def test_no_service_is_a_message_that_helps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_jsonl(tmp_path / "in.jsonl", pairs(1))
    assert cli.main(["label", str(path), "--out", str(tmp_path / "o.jsonl"), "--url", "http://127.0.0.1:9"]) == 1
    assert "`tokenreward serve` starts one" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_template_of_ones_own_comes_from_a_file(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jsonl(tmp_path / "in.jsonl", pairs(1))
    bad = tmp_path / "bad.toml"
    bad.write_text("name = 3")
    assert cli.main(["label", str(path), "--out", str(tmp_path / "o.jsonl"), "--template", str(bad)]) == 1
    assert "bad.toml" in capsys.readouterr().err
