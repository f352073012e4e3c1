"""What cannot be written is refused before anything is sent, and what is written reads as it was."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import os
import random
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.processes import COMMAND
from benchmarks.harness.waiting import patience
from tests.support.fake_service import FakeService
from tokenreward import BadInput, label_dataset
from tokenreward.dataset.chunks import Chunk, chunks
from tokenreward.dataset.columns import label_columns
from tokenreward.dataset.formats import read_labeled, sink_of, source_of, typed_for
from tokenreward.dataset.inputs.layout_search import layout_in
from tokenreward.dataset.row_items import RowItems
from tokenreward.schema import ItemFailure, ItemResult

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from tokenreward.dataset.arrow_source import dataset_source  # noqa: E402 (needs pyarrow)

COLUMNAR = [".parquet", ".arrow"]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_with(*values: Any, name: str = "extra") -> list[dict[str, Any]]:
    """One row for each value; none of the column where the value is Ellipsis."""
    rows: list[dict[str, Any]] = [{"prompt": f"p{n}", "response": f"r{n}"} for n in range(len(values))]
    return [row if value is ... else row | {name: value} for row, value in zip(rows, values, strict=True)]


def passed_through(data: Any, out: Path, rows: int = 2) -> None:
    """Do with the rows what labeling does, without a service: no response gets rewards."""
    opened = source_of(data, out) if isinstance(data, Path) else dataset_source(data)
    layout = layout_in(opened)
    source = typed_for(out, opened, RowItems(layout).of)
    sink = sink_of(out, source)
    work = list(chunks(source, RowItems(layout), rows))
    sink.check(work[0].payload, out)
    for chunk in work:
        failed = ItemResult(index=0, error=ItemFailure(code="cancelled", message="no service"))
        columns = label_columns(
            [failed] * len(chunk.items),
            layout.sides,
        )
        sink.write(_part(out, chunk), chunk.payload, columns)
    sink.assemble([_part(out, chunk) for chunk in work], out, {})


def _part(out: Path, chunk: Chunk) -> Path:
    return out.with_name(f"{out.name}.{chunk.number}")


def refused(service: FakeService, source: Any, out: Path, match: str) -> None:
    """The input is refused, nothing was sent, and nothing is left beside it."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(BadInput, match=match):
        label_dataset(source, out, url=service.url, rows_per_job=2)
    assert service.requests == 0
    assert sorted(out.parent.iterdir()) == before


def written(out: Path, name: str = "extra") -> list[Any]:
    return [row.get(name) for row in read_labeled(out)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5], "double"),
        ([2.5, 1, None], "double"),
        ([None, None, {"a": 1}], "struct<a: int64>"),
        ([{"a": 1}, {"b": "x"}], "struct<a: int64, b: string>"),
        ([{}, {"a": 1}], "struct<a: int64>"),
        ([[], [1], [2.5, None]], "list<element: double>"),
        ([[{"name": "now", "arguments": {}}], [{"name": "at", "arguments": {"city": "Bern"}}]], None),
        ([..., ..., True], "bool"),
        ([float("nan"), float("inf"), 1], "double"),
        ([-(2**63), 2**63 - 1], "int64"),
        ([[], None, []], "list<element: null>"),
        ([None, None], "null"),
    ],
)
def test_types_that_change_are_promoted_where_nothing_is_lost(
    tmp_path: Path, values: list[Any], kind: str | None
) -> None:
    out = tmp_path / "out.parquet"
    passed_through(write_jsonl(tmp_path / "in.jsonl", rows_with(*values)), out)
    found = pq.read_table(out)
    assert kind in {None, str(found.schema.field("extra").type)}
    for was, now in zip(values, found["extra"].to_pylist(), strict=True):
        assert _without_nulls(now) == _without_nulls(None if was is ... else was) or was != was


def _without_nulls(value: Any) -> Any:
    """A key that only other rows have is null, as a column is that only other rows have."""
    if isinstance(value, dict):
        kept = {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
        return kept or None
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("suffix", COLUMNAR)
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1, 2.5, "text"], "line 3, column 'extra'"),
        ([1, "text"], "line 2, column 'extra'"),
        (["text", 1], "line 2, column 'extra'"),
        ([True, 1], "line 2, column 'extra'"),
        ([{"a": 1}, {"a": "x"}], "line 2, column 'extra'"),
        ([{"a": 1}, [1]], "line 2, column 'extra'"),
        ([1, [1, "text"]], "line 2, column 'extra'"),
        ([[1, "text"]], "line 1, column 'extra'.*no one type holds"),
        ([1, 2**63], "line 2, column 'extra': a whole number beyond 64 bits with their sign"),
        ([[1], [{"deep": -(2**64)}]], "line 2, column 'extra': "),
        ([{"a": {"b": 2**64}}], "line 1, column 'extra': a whole number beyond 64 bits with their sign"),
        ([2.5, 2**53 + 1], "line 2, column 'extra': .*exactly representable"),
        ([2**53 + 1, 1, 1, 2.5], "line 1, column 'extra': .*"),
        (["fine", "\ud800"], "line 2, column 'extra': half a surrogate pair"),
        ([None, {"\ud800": 1}], "line 2, column 'extra': half a surrogate pair"),
    ],
)
def test_values_that_no_type_holds_are_refused_by_row_and_column(
    service: FakeService, tmp_path: Path, suffix: str, values: list[Any], says: str
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", rows_with(*values))
    refused(service, source, tmp_path / f"out{suffix}", says)
    # JSON Lines have no types, so that everything stays what it was.
    passed_through(source, tmp_path / "out.jsonl")
    assert written(tmp_path / "out.jsonl") == values


def test_a_type_that_changes_many_rows_later_is_refused_by_row_too(service: FakeService, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", rows_with(*range(1500), "late"))
    refused(service, source, tmp_path / "out.parquet", "line 1501, column 'extra'")


def test_a_column_whose_name_cannot_be_written_is_refused(service: FakeService, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", rows_with(1, name="\ud800"))
    refused(service, source, tmp_path / "out.parquet", r"line 1, column '\\ud800': half a surrogate pair")


@pytest.mark.parametrize(
    "value",
    [{}, {"a": {}}, [{}], [{"name": "now", "arguments": {}}], {"a": [{"b": {}}]}],
)
def test_objects_without_keys_are_refused_for_parquet_by_column_and_kept_by_arrow(
    service: FakeService, tmp_path: Path, value: Any
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", rows_with(value, value, value))
    refused(service, source, tmp_path / "out.parquet", r"\.parquet cannot hold the column 'extra' .*\.arrow holds it")
    passed_through(source, tmp_path / "out.arrow")
    assert written(tmp_path / "out.arrow") == [value] * 3


def test_objects_without_keys_from_arrow_are_refused_for_parquet(service: FakeService, tmp_path: Path) -> None:
    table = pa.table({"prompt": ["p"], "response": ["r"], "extra": pa.array([{}])})
    with pa.ipc.new_stream(tmp_path / "in.arrow", table.schema) as writer:
        writer.write_table(table)
    refused(service, tmp_path / "in.arrow", tmp_path / "out.parquet", "cannot hold the column 'extra'")
    passed_through(tmp_path / "in.arrow", tmp_path / "out.arrow")
    assert written(tmp_path / "out.arrow") == [{}]


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        decimal.Decimal("1.5"),
        b"x",
        {"when": [datetime.date(2026, 1, 1)]},
    ],
)
def test_a_value_without_a_form_in_json_is_refused_by_row_however_late_it_comes(
    service: FakeService, tmp_path: Path, value: Any
) -> None:
    table = pa.Table.from_pylist(rows_with(*[None] * 40, value))
    pq.write_table(table, tmp_path / "in.parquet")
    says = r"row 40, column 'extra': JSON cannot hold the column .*\.parquet holds it"
    with pytest.raises(BadInput, match=says):
        label_dataset(tmp_path / "in.parquet", tmp_path / "out.jsonl", url=service.url, rows_per_job=8)
    assert service.requests == 0
    pq.write_table(table.slice(0, 40), tmp_path / "in.parquet")
    passed_through(tmp_path / "in.parquet", tmp_path / "out.jsonl")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("levels", "fits"), [(40, [*COLUMNAR, ".jsonl"]), (60, [".arrow", ".jsonl"]), (90, [".jsonl"])]
)
@pytest.mark.parametrize("suffix", [*COLUMNAR, ".jsonl"])
def test_deep_nesting_is_written_where_it_can_be_read_again(
    service: FakeService, tmp_path: Path, suffix: str, levels: int, fits: list[str]
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", rows_with(nested(levels)))
    out = tmp_path / f"out{suffix}"
    if suffix in fits:
        passed_through(source, out)
        assert written(out) == [nested(levels)]
    else:
        refused(service, source, out, "cannot hold the column 'extra'")


@pytest.mark.parametrize("levels", [101, 100_000])
def test_nesting_that_nobody_could_write_is_refused_by_line(service: FakeService, tmp_path: Path, levels: int) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "p", "response": "r", "extra": ' + "[" * levels + "]" * levels + "}\n")
    refused(service, source, tmp_path / "out.jsonl", "line 1: lists and objects are nested more than 100 levels deep")


def test_brackets_in_a_text_are_not_nesting(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", rows_with("[{" * 500))
    passed_through(source, tmp_path / "out.jsonl")
    assert written(tmp_path / "out.jsonl") == ["[{" * 500]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"prompt": "p", "response": "r", "response": "s"}', "response"),
        ('{"prompt": "p", "response": "r", "extra": {"a": 1, "a": 2}}', "a"),
    ],
)
def test_a_key_that_stands_twice_is_refused_by_line(
    service: FakeService, tmp_path: Path, suffix: str, line: str, key: str
) -> None:
    (tmp_path / "in.jsonl").write_text(line + "\n")
    refused(service, tmp_path / "in.jsonl", tmp_path / f"out{suffix}", f"line 1: the key '{key}' stands there twice")


def test_two_columns_of_one_name_are_refused(service: FakeService, tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array(["p"]), pa.array(["r"]), pa.array([1]), pa.array([2])], ["prompt", "response", "x", "x"]
    )
    with pa.ipc.new_stream(tmp_path / "in.arrow", table.schema) as writer:
        writer.write_table(table)
    refused(service, tmp_path / "in.arrow", tmp_path / "out.arrow", "there are two columns 'x'")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("name", ["token_rewards", "token_error", "tokens", "token_offsets"])
def test_a_column_that_labels_would_replace_is_refused_in_whatever_row_it_stands(
    service: FakeService, tmp_path: Path, suffix: str, name: str
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", rows_with(..., ..., [0.5], name=name))
    refused(service, source, tmp_path / f"out{suffix}", f"line 3: the column '{name}' is what labels are written to")


@pytest.mark.parametrize("suffix", COLUMNAR)
def test_a_column_without_a_name_is_a_column(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    passed_through(write_jsonl(tmp_path / "in.jsonl", rows_with(1, 2, name="")), out)
    assert written(out, "") == [1, 2]


def columns() -> dict[str, Any]:
    """Columns of many types, of three rows each."""
    when = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)  # noqa: DTZ001 (a column without a zone)
    return {
        "datetime": pa.array([when, None, when], pa.timestamp("us")),
        "zoned": pa.array([when, None, when], pa.timestamp("ms", "Europe/Zurich")),
        "nanoseconds": pa.array([1, None, 3], pa.timestamp("ns")),
        "date": pa.array([when.date(), None, when.date()]),
        "time": pa.array([when.time(), None, when.time()]),
        "duration": pa.array([5, None, 7], pa.duration("s")),
        "decimal": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-2.25")]),
        "binary": pa.array([b"\xff\x00", None, b""]),
        "fixed_binary": pa.array([b"abcd", None, b"efgh"], pa.binary(4)),
        "large": pa.array(["a", None, "c"], pa.large_string()),
        "view": pa.array(["a", None, "c"], pa.string_view()),
        "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
        "list_of_dictionary": pa.array([["a"], None, []], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        "fixed_list": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int16(), 2)),
        "large_list": pa.array([[1], None, []], pa.large_list(pa.int64())),
        "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "half": pa.array([1.5, None, 2.5], pa.float16()),
        "unsigned": pa.array([2**64 - 1, None, 0], pa.uint64()),
        "uuid": pa.array([b"0123456789abcdef", None, b"0123456789abcdef"], pa.uuid()),
        "json": pa.array(['{"a": 1}', None, "[]"], pa.json_()),
        "tensor": pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float32(), [2]), pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32(), 2))
        ),
    }


@pytest.mark.parametrize("suffix", COLUMNAR)
@pytest.mark.parametrize("name", list(columns()))
def test_every_type_of_arrow_that_the_output_holds_comes_back_as_it_was(tmp_path: Path, suffix: str, name: str) -> None:
    table = pa.table({"prompt": ["p"] * 3, "response": ["a", "b", "c"], "extra": columns()[name]})
    with pa.ipc.new_stream(tmp_path / "in.arrow", table.schema) as writer:
        writer.write_table(table)
    out = tmp_path / f"out{suffix}"
    passed_through(tmp_path / "in.arrow", out)
    if suffix == ".parquet":
        found = pq.read_table(out)
    else:
        with pa.memory_map(str(out)) as file:
            found = pa.ipc.open_stream(file).read_all()
    assert found["extra"].cast(table["extra"].type).to_pylist() == table["extra"].to_pylist()
    assert found.num_rows == 3


@pytest.mark.parametrize(
    "kind",
    [
        pa.month_day_nano_interval(),
        pa.run_end_encoded(pa.int32(), pa.int64()),
        pa.dictionary(pa.int8(), pa.list_(pa.int64())),
    ],
)
def test_a_type_that_parquet_does_not_have_is_refused_by_column(
    service: FakeService, tmp_path: Path, kind: Any
) -> None:
    table = pa.table({"prompt": ["p"], "response": ["r"], "fine": [1], "extra": pa.nulls(1, kind)})
    with pa.ipc.new_stream(tmp_path / "in.arrow", table.schema) as writer:
        writer.write_table(table)
    refused(service, tmp_path / "in.arrow", tmp_path / "out.parquet", "cannot hold the column 'extra'")


def test_a_table_whose_chunks_have_dictionaries_of_their_own_is_written(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pieces = [
        pa.table({"prompt": ["p"], "response": [text], "extra": pa.array([text]).dictionary_encode()})
        for text in "abcd"
    ]
    dataset = datasets.Dataset(pa.concat_tables(pieces))
    passed_through(dataset, tmp_path / "out.parquet", rows=4)
    assert written(tmp_path / "out.parquet") == list("abcd")


@pytest.mark.parametrize("suffix", COLUMNAR)
def test_messages_that_are_kept_as_maps_are_messages(service: FakeService, tmp_path: Path, suffix: str) -> None:
    message = pa.list_(pa.map_(pa.string(), pa.string()))
    turns = [[("role", "user"), ("content", "Hi")], [("role", "assistant"), ("content", "Hello")]]
    table = pa.table({"messages": pa.array([turns], message)})
    with pa.ipc.new_stream(tmp_path / "in.arrow", table.schema) as writer:
        writer.write_table(table)
    out = tmp_path / f"out{suffix}"
    assert label_dataset(tmp_path / "in.arrow", out, url=service.url).tokens == len("Hello")
    assert next(read_labeled(out))["messages"][1] == {"role": "assistant", "content": "Hello"}


def stream(batches: list[list[dict[str, Any]]]) -> Any:
    """A streamed dataset that finds the types of each batch by itself."""
    datasets = pytest.importorskip("datasets")

    def rows() -> Iterator[dict[str, Any]]:
        for batch in batches:
            yield from batch

    return datasets.IterableDataset.from_generator(rows)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 2.5, 3.5],
        [None, None, {"a": 1}, {"a": 2}],
        [{"a": 1}, {"a": 2}, {"a": 3, "b": "x"}, {"a": 4, "b": "y"}],
        [[], [], [1], [2]],
        [1, 2, None, None],
    ],
)
@pytest.mark.parametrize("suffix", COLUMNAR)
def test_a_stream_whose_types_change_is_written_with_types_that_fit(
    tmp_path: Path, suffix: str, values: list[Any]
) -> None:
    out = tmp_path / f"out{suffix}"
    passed_through(stream([rows_with(*values)]), out)
    assert [_without_nulls(value) for value in written(out)] == [_without_nulls(value) for value in values]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1, 2, "x", "y"], "row 2 and the rows after it, column 'extra'"),
        ([1, 2, 2.5, 2.5, "x", "y"], "row 4 and the rows after it, column 'extra'"),
        ([2**60 + 1, 2, 2.5, 2.5], "row 0 and the rows after it, column 'extra'"),
        (["x", "y", b"x", b"y"], "row 2 and the rows after it, column 'extra'"),
        ([{"a": 1}, {"a": 1}, [1], [1]], "row 2 and the rows after it, column 'extra'"),
    ],
)
def test_a_stream_whose_types_no_schema_holds_is_refused(
    service: FakeService, tmp_path: Path, values: list[Any], says: str
) -> None:
    refused(service, stream([rows_with(*values)]), tmp_path / "out.parquet", says)


@pytest.mark.parametrize("value", [2**70, "\ud800"])
def test_a_stream_with_values_that_arrow_does_not_hold_is_refused(
    service: FakeService, tmp_path: Path, value: Any
) -> None:
    refused(service, stream([rows_with(1 if value == 2**70 else "a", value)]), tmp_path / "out.arrow", "cannot be read")


@pytest.mark.parametrize(
    ("suffix", "most_bytes"),
    [
        pytest.param(".jsonl", 2048, id="a part does not fit"),
        pytest.param(".parquet", 8192, id="the file does not fit"),
    ],
)
def test_a_full_disk_costs_nothing_that_is_labeled(
    service: FakeService, tmp_path: Path, suffix: str, most_bytes: int
) -> None:
    noise = random.Random(0)
    values = [base64.b64encode(noise.randbytes(750)).decode() for _ in range(30)]
    source, out = write_jsonl(tmp_path / "in.jsonl", rows_with(*values)), tmp_path / f"out{suffix}"
    command = [*COMMAND, "label", str(source), "--out", str(out), "--url", service.url, "--rows-per-job", "2"]

    def run(most: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "--quiet"],
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(60),
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},  # a module cut short would be read by others
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        )

    ended = run(most_bytes)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "File too large" in line
    assert line.endswith("what is labeled is kept, and the same command goes on from here")
    assert not out.exists()
    assert 0 < service.scored <= 30
    assert run(resource.RLIM_INFINITY).returncode == 0
    assert service.scored == 30, "no response was taken on twice"
    assert written(out) == values
