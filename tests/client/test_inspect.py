"""The statistics of a labeled file against numbers worked out by hand, and its picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tokenreward import BadInput, cli
from tokenreward.show.statistics_svg import svg
from tokenreward.statistics.labeled_rewards import gather

PAIRS: list[dict[str, Any]] = [
    {
        "chosen_token_ids": [1, 2],
        "chosen_token_rewards": [0.5, 0.3],
        "rejected_token_ids": [1, 2, 3, 4],
        "rejected_token_rewards": [0.25, 0.25, 0.25, 0.25],
    },
    {
        "chosen_token_ids": [1],
        "chosen_token_rewards": [-0.5],
        "rejected_token_ids": None,
        "rejected_token_rewards": None,
        "rejected_token_error": "too_long: x",
    },
]


def test_the_numbers_are_those_worked_out_by_hand() -> None:
    found = gather(PAIRS)
    chosen, rejected = found.sides["chosen"], found.sides["rejected"]
    assert (found.rows, found.pairs, found.won, found.won_by_mean) == (2, 1, 0, 1)
    assert list(found.margins) == pytest.approx([-0.2])
    assert (chosen.responses, chosen.failed, chosen.tokens, chosen.positive) == (2, 0, 3, 2)
    assert (rejected.responses, rejected.failed, rejected.tokens) == (1, 1, 4)
    assert chosen.mean == pytest.approx(0.1)
    assert chosen.deviation == pytest.approx(np.std([0.5, 0.3, -0.5]))
    assert chosen.mean_sum == pytest.approx(0.15)
    assert chosen.histogram.sum() == 3
    assert chosen.histogram[-1] == chosen.histogram[0] == 1  # the ends belong to the outer bins
    assert chosen.position.mean[0] == pytest.approx(0.0)  # 0.5 and -0.5
    assert chosen.position.mean[5] == pytest.approx(0.3)
    assert chosen.length.count[0] == 3


def test_single_responses_have_one_side_and_no_pairs() -> None:
    found = gather([{"token_ids": [1] * 33, "token_rewards": [0.1] * 33}])
    assert list(found.sides) == ["response"]
    assert found.pairs == 0
    assert found.sides["response"].length.mean[1] == pytest.approx(0.1)  # 33 to 64 tokens


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "p"}, "row 0: no column 'token_rewards'"),
        ({"token_ids": [1], "token_rewards": [0.1, 0.2]}, "not one reward per token"),
    ],
)
def test_a_file_without_proper_labels_says_so(row: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        gather([row])


def test_the_picture_is_a_well_formed_svg_that_needs_nothing_else() -> None:
    for rows in (PAIRS, PAIRS[1:], [{"token_ids": [1], "token_rewards": [0.0]}]):
        picture = svg(gather(rows), "<b>\x1b & \u202e")
        root = ElementTree.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "nan" not in picture
        assert "href" not in picture
        assert len(root.findall(".//{*}g")) == (4 if gather(rows).pairs else 3)


def test_the_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "labeled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    assert cli.main(["inspect", str(path)]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["labeled.jsonl"]  # nothing is written unasked
    said = capsys.readouterr().out
    assert "chosen above rejected by sum of rewards in 0.0% of 1 pairs" in said
    assert "share positive                 66.7%            100.0%" in said
    picture, page = tmp_path / "picture.svg", tmp_path / "page.html"
    assert cli.main(["inspect", str(path), "--picture", str(picture), "--html", str(page)]) == 0
    ElementTree.parse(picture)
    assert "share positive                 66.7%            100.0%" in page.read_text()
    assert "<svg" in page.read_text()
    path.write_text("")
    assert cli.main(["inspect", str(path)]) == 1
    assert "no rows" in capsys.readouterr().err
