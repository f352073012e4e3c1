"""Which reader and writer a path gets, and reading labeled rows from each format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokenreward import BadInput
from tokenreward.dataset.formats import read_labeled, read_meta, sink_of, source_of, typed_for
from tokenreward.dataset.jsonl import JsonlSink, JsonlSource
from tokenreward.dataset.meta import META_KEY, meta_path

ROWS = [
    {"prompt": "p0", "response": "r0", "token_ids": [1, 2], "token_rewards": [0.5, -0.25], "token_error": None},
    {"prompt": "p1", "response": "r1", "token_ids": None, "token_rewards": None, "token_error": "too_long: no"},
]
META = {"provenance": {"template": "revision"}}


def written(path: Path) -> Path:
    """The rows and the metadata in the format of the path."""
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
        meta_path(path).write_text(json.dumps(META))
        return path
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.Table.from_pylist(ROWS).replace_schema_metadata({META_KEY: json.dumps(META)})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".arrow"])
def test_labeled_rows_and_their_metadata_are_the_same_from_every_format(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"labeled{suffix}")
    assert list(read_labeled(path)) == ROWS
    assert read_meta(path) == META


def test_a_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "p"}\n[1]\n')
    with pytest.raises(BadInput, match=r"rows\.jsonl, line 2: not a JSON object"):
        list(read_labeled(path))


def test_a_file_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        list(read_labeled(tmp_path / "nowhere.parquet"))


def test_json_lines_stay_json_lines_and_suit_no_other_output(tmp_path: Path) -> None:
    source = source_of(written(tmp_path / "rows.jsonl"), tmp_path / "out.jsonl")
    assert isinstance(source, JsonlSource)
    assert isinstance(sink_of(tmp_path / "out.jsonl", source), JsonlSink)
    with pytest.raises(BadInput, match=r"the output is \.jsonl .*, \.parquet or \.arrow, not '\.csv'"):
        sink_of(tmp_path / "out.csv", source)


def test_json_lines_become_typed_tables_for_a_columnar_output(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    out = tmp_path / "out.parquet"
    source = typed_for(out, source_of(written(tmp_path / "rows.jsonl"), out), lambda row, where: None)
    ((first, rows, table),) = source.batches(10)
    assert (first, len(rows), table.num_rows) == (0, 2, 2)
    assert table.schema.field("token_rewards").type.value_type == "double"


def test_a_metadata_file_that_is_not_json_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl")
    meta_path(path).write_text("not json")
    with pytest.raises(BadInput, match="its tokenreward metadata cannot be read"):
        read_meta(path)
