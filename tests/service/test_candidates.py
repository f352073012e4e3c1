"""Moments, the most likely ids and named ids, with the synthetic engine: over HTTP, as Arrow, and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience
from tests.support.rows import read, write
from tokenreward import BadInput, Client
from tokenreward.commands import label
from tokenreward.protocol.records import ScoringOptions
from tokenreward.schema import Item, JobOptions
from tokenreward_service.intake import slicing

ITEM: dict[str, Any] = {"prompt": "Q", "token_ids": [65, 66, 67]}
ALL = ["moments", "top", "named", "logprobs"]


def post(stack: Stack, *items: dict[str, Any], **options: Any) -> httpx2.Response:
    body = {"items": list(items), **options}
    return httpx2.post(f"{stack.url}/v1/label", json=body, timeout=patience(30))


def test_a_result_holds_what_was_asked_for_under_every_branch(synthetic: Stack) -> None:
    with Client(url=synthetic.url) as client:
        items = [{**ITEM, "named_ids": [7, 65]}, {**ITEM, "named_ids": [[1], [2], [66]]}]
        same, each = client.label(items, include=ALL, top_k=5).results
    assert same.moments is not None
    assert same.top is not None
    assert same.named is not None
    assert each.named is not None
    assert same.moments.keys() == same.top.keys() == same.named.keys() == {"better", "worse"}
    assert len(same.moments["better"].entropy) == len(same.moments["worse"].variance) == 3
    for one in same.top.values():
        assert (one.ids.shape, one.ids.dtype) == ((3, 5), np.int32)
        assert (one.logprobs.shape, one.logprobs.dtype) == ((3, 5), np.float32)
        assert (np.diff(one.logprobs, axis=1) <= 0).all()
    np.testing.assert_array_equal(same.named["worse"].ids, [[7, 65]] * 3)
    np.testing.assert_array_equal(each.named["worse"].ids, [[1], [2], [66]])


def test_nothing_of_it_is_there_where_nobody_asked(synthetic: Stack) -> None:
    (result,) = post(synthetic, {**ITEM, "named_ids": [7]}).json()["results"]
    assert result.keys() == {"index", "token_ids", "rewards"}


def test_lines_and_arrow_hold_the_same_numbers(synthetic: Stack) -> None:
    with Client(url=synthetic.url) as client:
        job = client.jobs.create([Item(**ITEM, named_ids=[7, 8])] * 3, include=ALL, top_k=128)
        lines = list(client.jobs.results(job.id))
        again = list(client.jobs.results(job.id))
    arrow = {"accept": "application/vnd.apache.arrow.stream"}
    answer = httpx2.get(f"{synthetic.url}/v1/jobs/{job.id}/results", headers=arrow, timeout=patience(30))
    table = pa.ipc.open_stream(answer.content).read_all()
    assert lines == again
    for line, moments, top, named in zip(
        lines, *(table[name].to_pylist() for name in ("moments", "top", "named")), strict=True
    ):
        assert line.moments == {name: type(line.moments[name])(**one) for name, one in moments}
        assert line.top == {name: type(line.top[name])(**one) for name, one in top}
        assert line.named == {name: type(line.named[name])(**one) for name, one in named}


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"top_k": 5}, "/"),
        ({"include": ["top"], "top_k": 0}, "/top_k"),
        ({"include": ["top"], "top_k": 129}, "/top_k"),
        ({"include": ["top"], "top_k": 2.5}, "/top_k"),
        ({"include": ["best"]}, "/include/0"),
    ],
)
def test_an_option_that_cannot_be_is_refused(synthetic: Stack, options: dict[str, Any], pointer: str) -> None:
    answer = post(synthetic, ITEM, **options)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_query_says_how_many_too(synthetic: Stack) -> None:
    url, line = f"{synthetic.url}/v1/jobs", b'{"prompt": "Q", "token_ids": [65]}\n'
    headers = {"content-type": "application/x-ndjson"}
    right, wrong = (
        httpx2.post(f"{url}?include=top&top_k={k}", content=line, headers=headers, timeout=patience(30))
        for k in (3, 1000)
    )
    assert (right.status_code, wrong.status_code) == (202, 422)
    with Client(url=synthetic.url) as client:
        (result,) = client.jobs.results(right.json()["id"])
        assert result.top is not None
        assert result.top["better"].ids.shape == (1, 3)
        with pytest.raises(BadInput, match="top_k"):
            client.label([ITEM], include=["top"], top_k=1000)


def test_named_ids_that_do_not_fit_are_the_items_own_error(synthetic: Stack) -> None:
    text = {"prompt": "Q", "response": "AB"}
    items = [
        ITEM,
        {**ITEM, "named_ids": [[1], [2]]},
        {**ITEM, "named_ids": [[1, 2], [3], [4]]},
        {**text, "named_ids": [[1], [2], [3], [4], [5], [6], [7]]},
        {**ITEM, "named_ids": [10**6]},
        {**ITEM, "named_ids": [-1]},
        {**ITEM, "named_ids": list(range(129))},
        {**ITEM, "named_ids": []},
        {**ITEM, "named_ids": [1]},
    ]
    *wrong, right = post(synthetic, *items, include=["named"]).json()["results"]
    said = [one["error"]["message"] for one in wrong]
    assert "no `named_ids`" in said[0]
    assert "2 lists, and the response has 3 tokens" in said[1]
    assert "2 ids for token 0 and 1 for token 1" in said[2]
    assert "7 lists" in said[3]
    assert [one["error"]["code"] for one in wrong] == [
        *["invalid_item"] * 4,
        "token_out_of_vocabulary",
        *["invalid_item"] * 3,
    ]
    assert right["named"]["better"]["ids"] == [[1]] * 3


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_files_keep_them_in_columns(tmp_path: Path, synthetic: Stack, suffix: str) -> None:
    row = {"prompt": "Q", "response": "AB", "named_ids": [7, 8]}
    rows, out = write(tmp_path / f"in{suffix}", row, row), tmp_path / f"out{suffix}"
    arguments = [str(rows), "--out", str(out), "--quiet", "--url", synthetic.url, "--include", "moments,top,named"]
    assert label.main([*arguments, "--top-k", "4"]) == 0
    for found in read(out):
        length = len(found["token_ids"])
        assert [one["branch"] for one in found["token_moments"]] == ["better", "worse"]
        assert len(found["token_moments"][0]["variance"]) == length
        assert np.shape(found["token_top"][1]["ids"]) == np.shape(found["token_top"][1]["logprobs"]) == (length, 4)
        assert found["token_named"][0]["ids"] == [[7, 8]] * length
        assert found["named_ids"] == [7, 8]


def test_a_file_without_the_column_is_refused_before_anything_is_sent(tmp_path: Path, synthetic: Stack) -> None:
    rows = write(tmp_path / "in.jsonl", {"prompt": "Q", "response": "AB"})
    arguments = [str(rows), "--out", str(tmp_path / "out.jsonl"), "--quiet", "--url", synthetic.url]
    with pytest.raises(BadInput, match="named_ids"):
        label.main([*arguments, "--include", "named"])


def test_a_slice_ends_where_its_candidates_would_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.worker_shards import scoring_options

    item = Item(prompt="p", token_ids=[1] * 100)
    options = scoring_options(include=["top"]).model_copy(update={"top_k": 100})
    costs = slicing._Costs(options)
    assert costs.candidates(item) == 8 * 100 * 100 * 2
    assert slicing._Costs(scoring_options()).candidates(item) == 0
    named = scoring_options(include=["named"])
    assert slicing._Costs(named).candidates(item.model_copy(update={"named_ids": [1, 2]})) == 8 * 2 * 100 * 2
    assert [len(one.entries) for one in _slices(options, item, 5)] == [5]
    monkeypatch.setattr(slicing, "_CANDIDATE_BYTES", 2 * costs.candidates(item))
    assert [len(one.entries) for one in _slices(options, item, 5)] == [2, 2, 1]


def _slices(options: ScoringOptions, item: Item, count: int) -> list[Any]:
    from tokenreward.protocol.arrow_blobs import Entry
    from tokenreward_service.settings import ServiceSettings
    from tokenreward_service.store.drafts import Plan

    slicer = slicing.Slicer(Plan(JobOptions(), options, missing=[], speed=None), ServiceSettings())
    return [*slicer.add([Entry(None, item)] * count), *slicer.rest()]
