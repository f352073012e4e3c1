"""Rows that are left out stand beside the output that lacks them, and nowhere else."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.support.fake_service import FakeService
from tests.support.rows import read, write
from tokenreward import BadInput, cli, label_dataset

ROWS = [{"prompt": f"p{n}", "response": f"r{n}"} for n in range(3)]
BAD = {"prompt": "p", "response": 5, "more": {"a": 1}}


def test_the_rows_that_an_output_lacks_are_not_replaced_by_a_run_that_is_refused(
    service: FakeService, tmp_path: Path
) -> None:
    path, out = write(tmp_path / "in.jsonl", BAD, *ROWS), tmp_path / "out.jsonl"
    before = label_dataset(path, out, skip_invalid=True, url=service.url).rejected_path.read_bytes()
    other = write(tmp_path / "other.jsonl", ROWS[0] | {"response": ""}, *ROWS)
    with pytest.raises(BadInput, match="nothing was overwritten"):
        label_dataset(other, out, skip_invalid=True, pool="word", url=service.url)
    assert Path(f"{out}.rejected.jsonl").read_bytes() == before


def test_a_run_that_leaves_nothing_out_removes_an_old_list(service: FakeService, tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", BAD, *ROWS), tmp_path / "out.jsonl"
    label_dataset(path, out, skip_invalid=True, url=service.url)
    out.unlink()
    done = label_dataset(write(path, *ROWS), out, skip_invalid=True, url=service.url)
    assert (done.rejected, done.rejected_path.exists()) == (0, False)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".arrow"])
def test_a_row_of_another_type_can_be_left_out_of_every_output(
    service: FakeService, tmp_path: Path, suffix: str
) -> None:
    path, out = write(tmp_path / "in.jsonl", ROWS[0], BAD, *ROWS[1:]), tmp_path / f"out{suffix}"
    done = label_dataset(path, out, skip_invalid=True, url=service.url)
    assert (done.rows, done.rejected) == (3, 1)
    assert read(done.rejected_path) == [
        {"where": f"{path}, line 2", "reason": "column 'response': int where text is expected", "row": BAD}
    ]


def test_without_the_option_every_bad_row_is_listed_though_none_is_good(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", BAD, BAD)
    with pytest.raises(BadInput, match=r"2 of 2 rows cannot be labeled, and nothing was sent:(?s:.*)line 2, column"):
        label_dataset(path, tmp_path / "out.jsonl")


def test_other_names_of_columns_are_another_labeling(service: FakeService, tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", ROWS[0] | {"question": "p0"}), tmp_path / "out.jsonl"
    label_dataset(path, out, url=service.url)
    assert label_dataset(path, out, url=service.url).already
    with pytest.raises(BadInput, match=r"was labeled otherwise \(columns differ\); nothing was overwritten"):
        label_dataset(path, out, columns={"prompt": "question"}, url=service.url)


def test_nothing_is_said_of_files_where_stdout_is_the_output(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    content = write(tmp_path / "in.jsonl", BAD, *ROWS).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert cli.main(["label", "-", "--out", "-", "--skip-invalid", "--quiet", "--url", service.url]) == 0
    said = capsysbinary.readouterr().err.decode().splitlines()
    assert said[1] == "1 row could not be labeled:"
    assert said[2].startswith('{"where": "stdin, line 1", ')
