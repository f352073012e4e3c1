"""Labels that were pooled are drawn by the segment, in the terminal and on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.client.test_show import nobody, terminal
from tests.support.rows import write
from tokenreward.show.page import page
from tokenreward.show.rows import ShownRow, shown_rows

#: "It is 5. No." as six tokens and a token that ends the turn, pooled by the sentence.
ROW: dict[str, Any] = {
    "prompt": "p",
    "response": "It is 5. No.",
    "token_ids": [1, 2, 3, 4, 5, 6, 7],
    "token_rewards": [0.4, 0.4, 0.4, 0.4, -0.4, -0.4, 0.1],
    "token_error": None,
    "segments": [{"start": 0, "end": 8, "reward": 0.4}, {"start": 9, "end": 12, "reward": -0.4}],
}
TOKENS: dict[str, Any] = {
    "tokens": ["It", " is", " 5", ".", " No", ".", "<end>"],
    "token_offsets": [[0, 2], [2, 5], [5, 7], [7, 8], [8, 11], [11, 12], [12, 12]],
}


def drawn(tmp_path: Path, row: dict[str, Any]) -> list[ShownRow]:
    return shown_rows(write(tmp_path / "labeled.jsonl", row), 0, 1, nobody)


def test_a_segment_is_drawn_as_one_piece_without_asking_anybody(tmp_path: Path) -> None:
    rows = drawn(tmp_path, ROW)
    assert "[+++It is 5.] [---No.]" in terminal(rows, colour=False)
    assert page(rows, {}, "t").count('data-reward="+0.4000"') == 1


def test_what_is_no_part_of_the_text_follows_where_it_is_known(tmp_path: Path) -> None:
    assert "[+++It is 5.] [---No.][+<end>]" in terminal(drawn(tmp_path, ROW | TOKENS), colour=False)


def test_segments_of_another_text_are_not_drawn(tmp_path: Path) -> None:
    row = ROW | TOKENS | {"response": "It is 6. No."}
    assert "[+++It] [+++is] [+++5][+++.]" in terminal(drawn(tmp_path, row), colour=False)


@pytest.mark.parametrize("spans", [[(0, 99)], [(3, 8), (0, 2)]])
def test_segments_that_do_not_fit_the_text_need_its_tokens(tmp_path: Path, spans: list[tuple[int, int]]) -> None:
    segments = [{"start": start, "end": end, "reward": 0.4} for start, end in spans]
    with pytest.raises(AssertionError, match="the service was asked"):
        drawn(tmp_path, ROW | {"segments": segments})


def test_a_segment_without_a_token_is_plain_text(tmp_path: Path) -> None:
    segments = [*ROW["segments"][:1], {"start": 9, "end": 12, "reward": None}]
    assert "[+++It is 5.] No." in terminal(drawn(tmp_path, ROW | {"segments": segments}), colour=False)
