"""Files of every kind are labeled alike, from files, folders, memory and stdin, and what is wrong in them is told."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_service import FakeService
from tests.support.rows import read, write
from tokenreward import BadInput, cli, label_dataset
from tokenreward.dataset.formats import read_labeled, read_meta

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = [{"id": str(n), "prompt": f"p{n}", "chosen": f'yes, {n}\n"é"', "rejected": f"no {n}"} for n in range(5)]


def separated(path: Path, rows: list[dict[str, Any]], delimiter: str) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def compressed(path: Path, content: bytes) -> None:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    else:
        path.write_bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(content))


LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
WRITERS: dict[str, Callable[[Path], object]] = {
    "rows.jsonl": lambda path: path.write_bytes(LINES),
    "rows.ndjson": lambda path: path.write_bytes(LINES),
    "rows.jsonl.gz": lambda path: compressed(path, LINES),
    "rows.jsonl.zst": lambda path: compressed(path, LINES),
    "rows.json": lambda path: path.write_text(json.dumps(ROWS, indent=2), "utf-8"),
    "rows16.json": lambda path: path.write_text(json.dumps(ROWS), "utf-16"),
    "lines.json": lambda path: path.write_bytes(LINES),
    "rows.json.gz": lambda path: compressed(path, json.dumps(ROWS).encode()),
    "rows.csv": lambda path: separated(path, ROWS, ","),
    "rows.tsv": lambda path: separated(path, ROWS, "\t"),
    "rows.parquet": lambda path: pq.write_table(pa.Table.from_pylist(ROWS), path),
}


@pytest.mark.parametrize("name", list(WRITERS))
@pytest.mark.parametrize("out", ["out.jsonl", "out.parquet"])
def test_every_kind_of_file_gives_the_same_labels(service: FakeService, tmp_path: Path, name: str, out: str) -> None:
    WRITERS[name](tmp_path / name)
    done = label_dataset(tmp_path / name, tmp_path / out, url=service.url, rows_per_job=2)
    labeled = list(read_labeled(tmp_path / out))
    assert [{key: row[key] for key in ROWS[0]} for row in labeled] == ROWS
    assert [len(row["chosen_token_rewards"]) for row in labeled] == [len(row["chosen"]) for row in ROWS]
    assert (done.rows, done.responses, done.rejected) == (5, 10, 0)


@pytest.mark.parametrize("out", ["out.jsonl.gz", "out.jsonl.zst"])
def test_json_lines_may_be_written_compressed(service: FakeService, tmp_path: Path, out: str) -> None:
    label_dataset(write(tmp_path / "in.jsonl", *ROWS), tmp_path / out, url=service.url)
    assert [row["id"] for row in read_labeled(tmp_path / out)] == list("01234")
    assert read_meta(tmp_path / out) is not None
    assert cli.main(["inspect", str(tmp_path / out)]) == 0


def test_a_folder_of_parquet_files_has_splits_as_on_the_hub(service: FakeService, tmp_path: Path) -> None:
    data = tmp_path / "set" / "data"
    data.mkdir(parents=True)
    for name, rows in (
        ("train-00000-of-00002", ROWS[:2]),
        ("train-00001-of-00002", ROWS[2:]),
        ("test_prefs", ROWS[:1]),
    ):
        write(data / f"{name}.parquet", *rows)
    with pytest.raises(BadInput, match="has the splits test_prefs, train; choose one with --split"):
        label_dataset(tmp_path / "set", tmp_path / "out.jsonl", url=service.url)
    label_dataset(tmp_path / "set", tmp_path / "out.jsonl", split="train", url=service.url)
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == list("01234")
    with pytest.raises(BadInput, match="and none called 'dev'"):
        label_dataset(tmp_path / "set", tmp_path / "dev.jsonl", split="dev", url=service.url)
    converted = tmp_path / "converted" / "default" / "train"  # what the hub makes of other files
    converted.mkdir(parents=True)
    write(converted / "0000.parquet", *ROWS)
    assert label_dataset(tmp_path / "converted", tmp_path / "all.parquet", split="train", url=service.url).rows == 5


def test_a_folder_without_data_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write(tmp_path / "set" / "train.jsonl", *ROWS)
    with pytest.raises(BadInput, match=r"label its files one at a time: train\.jsonl"):
        label_dataset(tmp_path / "set", tmp_path / "out.jsonl")


def test_data_in_memory_is_labeled_as_it_is(service: FakeService, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    for number, data in enumerate([pandas.DataFrame(ROWS), pa.Table.from_pylist(ROWS), ROWS]):
        done = label_dataset(data, url=service.url)
        assert [row["id"] for row in read_labeled(done.path)] == list("01234"), number
    label_dataset(ROWS, tmp_path / "out.jsonl", url=service.url)
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == list("01234")
    with pytest.raises(BadInput, match="a set cannot be labeled; give a path, a dataset, a DataFrame"):
        label_dataset({1, 2}, url=service.url)


def test_a_polars_frame_is_labeled(service: FakeService, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    label_dataset(polars.DataFrame(ROWS), tmp_path / "out.parquet", url=service.url)
    assert [row["id"] for row in read(tmp_path / "out.parquet")] == list("01234")


def test_a_row_with_several_responses_becomes_as_many_rows(service: FakeService, tmp_path: Path) -> None:
    rows = [
        {"id": n, "instruction": f"p{n}", "completions": [{"model": f"m{k}", "response": f"{n}{k}"} for k in range(3)]}
        for n in range(3)
    ]
    for suffix in (".jsonl", ".parquet"):
        path, out = write(tmp_path / f"in{suffix}", *rows), tmp_path / f"out{suffix}"
        assert label_dataset(path, out, url=service.url, rows_per_job=2).rows == 9
        labeled = read(out)
        assert [row["id"] for row in labeled] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert [row["completions"][0]["model"] for row in labeled[:3]] == ["m0", "m1", "m2"]
        assert ["".join(map(chr, row["token_ids"])) for row in labeled] == [
            f"{n}{k}" for n in range(3) for k in range(3)
        ]
        assert cli.main(["show", str(out), "--url", service.url]) == 0


def test_columns_are_renamed_in_the_labeled_file_too(service: FakeService, tmp_path: Path) -> None:
    rows = [{"prompt": "old", "question": "q", "good": "g", "bad": "b"}]
    for suffix in (".jsonl", ".parquet"):
        path, out = write(tmp_path / f"in{suffix}", *rows), tmp_path / f"out{suffix}"
        label_dataset(path, out, columns={"prompt": "question", "chosen": "good", "rejected": "bad"}, url=service.url)
        (row,) = read(out)
        assert {name: row[name] for name in ("prompt_before", "prompt", "chosen", "rejected")} == {
            "prompt_before": "old", "prompt": "q", "chosen": "g", "rejected": "b"}  # fmt: skip
    with pytest.raises(BadInput, match=r"no column 'qestion' among .*\(did you mean 'question'\?\)"):
        label_dataset(path, tmp_path / "other.parquet", columns={"prompt": "qestion"}, url=service.url)


def test_a_name_can_be_taken_from_a_column(service: FakeService, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path = write(tmp_path / "in.jsonl", {"prompt": "a tag", "chosen": turns, "rejected": turns})
    command = ["label", str(path), "--out", str(tmp_path / "out.jsonl"), "--url", service.url]
    assert cli.main(command) == 1
    assert cli.main([*command, "--columns", "prompt="]) == 0
    assert read(tmp_path / "out.jsonl")[0]["prompt_before"] == "a tag"


def test_a_limit_labels_the_first_rows(service: FakeService, tmp_path: Path) -> None:
    for suffix in (".jsonl", ".parquet"):
        path, out = write(tmp_path / f"in{suffix}", *ROWS), tmp_path / f"out{suffix}"
        label_dataset(path, out, limit=3, url=service.url, rows_per_job=2)
        assert [row["id"] for row in read(out)] == ["0", "1", "2"]


def bad_file(path: Path) -> Path:
    rows = [json.dumps(row) for row in ROWS]
    rows[1:1] = ["{broken", json.dumps(ROWS[0] | {"rejected": ""})]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_bad_rows_are_listed_together_and_nothing_is_sent(service: FakeService, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        label_dataset(bad_file(tmp_path / "in.jsonl"), tmp_path / "out.jsonl", url=service.url)
    first, broken, empty, way_out = str(caught.value).splitlines()
    assert first == "2 of 7 rows cannot be labeled, and nothing was sent:"
    assert "line 2: not JSON" in broken
    assert "line 3, column 'rejected': empty" in empty
    assert "--skip-invalid labels the others" in way_out
    assert service.requests == 0


@pytest.mark.parametrize("out", ["out.jsonl", "out.parquet"])
def test_bad_rows_can_be_left_out_and_are_kept_with_their_reasons(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    path = bad_file(tmp_path / "in.jsonl")
    assert cli.main(["label", str(path), "--out", str(tmp_path / out), "--skip-invalid", "--url", service.url]) == 0
    assert [row["id"] for row in read_labeled(tmp_path / out)] == list("01234")
    assert "2 rows could not be labeled, and are in" in capsys.readouterr().err
    broken, empty = read(tmp_path / f"{out}.rejected.jsonl")
    assert (broken["where"], broken["row"]) == (f"{path}, line 2", "{broken")
    assert empty == {
        "where": f"{path}, line 3",
        "reason": "column 'rejected': empty",
        "row": ROWS[0] | {"rejected": ""},
    }


def test_a_bad_row_of_a_table_is_kept_whole(service: FakeService, tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", ROWS[0] | {"chosen": ""}, *ROWS[1:])
    done = label_dataset(path, tmp_path / "out.parquet", skip_invalid=True, url=service.url)
    assert (done.rows, done.rejected) == (4, 1)
    assert [row["id"] for row in read(tmp_path / "out.parquet")] == list("1234")
    assert read(done.rejected_path)[0]["row"] == ROWS[0] | {"chosen": ""}


def test_a_file_of_bad_rows_only_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", {"prompt": "p", "response": ""}, {"prompt": "p", "response": ""})
    with pytest.raises(BadInput, match=r"none of the 2 rows can be labeled; the first: .*line 1, column 'response'"):
        label_dataset(path, tmp_path / "out.jsonl", skip_invalid=True)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", '[{"prompt": "p", "response": "r"}, ', "row 1: not JSON"),
        ("a.json", '[{"prompt": "p", "response": "r"} 3]', "behind row 0: '3' where ',' or ']' is due"),
        ("a.json", '[{"prompt": "p", "response": "r"}]\n[]', "'[' behind the array, which ends after 1 rows"),
        ("a.json", '[{"prompt": "p", "response": "\udce9"}]', "a.json: not text in UTF-8 (invalid continuation byte"),
        ("a.json", '{"prompt": "p", "response": "\udce9"}', "line 1: not JSON ("),
        ("a.json", '[{"a": 1, "a": 2}]', "row 0: the key 'a' stands there twice"),
        ("a.json", '[{"prompt": "p", "response": "r"}, 3]', "row 1: not a JSON object"),
        ("a.json", '{"prompt":\n "p"}', "line 1: not JSON"),
        ("a.csv", "prompt,prompt\np,q\n", "names the column 'prompt' twice"),
        ("a.csv", "prompt,response\np\n", "line 2: 1 cells where the first line names 2 columns"),
        ("a.csv", 'prompt,response\np,"r\n', "line 3: cannot be read"),
        ("a.csv", "messages\n\"[{'role': 'user', 'content': 'p'}]\"\n", "messages that are not JSON (as pandas writes"),
        ("a.jsonl.gz", "no gzip", "cannot be decompressed"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_its_name_says_is_told(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content, "utf-8", "surrogateescape")
    with pytest.raises(BadInput) as caught:
        label_dataset(tmp_path / name, tmp_path / "out.jsonl")
    assert says in str(caught.value)


def test_messages_stand_in_a_cell_as_json(service: FakeService, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a,\nb"}, {"role": "assistant", "content": "c"}]
    separated(tmp_path / "in.csv", [{"messages": json.dumps(turns), "note": '["a list"]'}], ",")
    label_dataset(tmp_path / "in.csv", tmp_path / "out.jsonl", url=service.url)
    (row,) = read(tmp_path / "out.jsonl")
    assert (row["messages"], row["note"]) == (turns, '["a list"]')


def test_a_long_array_is_read_piece_by_piece(service: FakeService, tmp_path: Path) -> None:
    rows = [{"prompt": "p" * n, "response": f"é{n}"} for n in (1, 70_000, 3, 200_000)]
    (tmp_path / "in.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    label_dataset(tmp_path / "in.json", tmp_path / "out.jsonl", url=service.url)
    assert [row["response"] for row in read(tmp_path / "out.jsonl")] == ["é1", "é70000", "é3", "é200000"]


@pytest.mark.parametrize("content", [LINES, gzip.compress(LINES), json.dumps(ROWS).encode()])
def test_rows_come_from_stdin_and_go_to_stdout(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], content: bytes
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert cli.main(["label", "-", "--out", "-", "--url", service.url]) == 0
    said = capsysbinary.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [row["id"] for row in rows] == list("01234")
    assert b"- labeled: 5 rows, 10 responses" in said.err


def test_stdin_is_named_in_messages(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "p", "response": ""}\n')))
    assert cli.main(["label", "-", "--out", "-", "--url", service.url]) == 1
    assert "stdin, line 1, column 'response': empty" in capsys.readouterr().err


def test_a_file_that_is_not_there_may_be_a_neighbour(tmp_path: Path) -> None:
    write(tmp_path / "pairs.jsonl", *ROWS)
    with pytest.raises(BadInput, match=r"no such file \(did you mean .*pairs\.jsonl\?\)"):
        label_dataset(tmp_path / "pair.jsonl", tmp_path / "out.jsonl")


def test_a_name_on_the_hub_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tokenreward.cli", "label", "nobody/nothing", "--out", "out.jsonl"]
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("tokenreward label: nobody/nothing: no such file, and the hub gives no such data set (")
