"""The tables that `make audit` and `benchmarks/audit.py --table` print."""

from __future__ import annotations

from typing import Any

from benchmarks._audit_tables import markdown


def figures(**more: Any) -> dict[str, Any]:
    """One built-in set, one of data, and three labels; `contrast` and `tis` rank tokens alike."""
    data = {"surprisal": [0.7, 0.6, 0.8], "contrast": [0.4, 0.3, 0.5], "tis": [0.4, 0.3, 0.5]}
    placed = {"surprisal": [0.69, 0.6, 0.8], "contrast": [0.45, 0.3, 0.5], "tis": [0.45, 0.3, 0.5]}
    return {
        "auroc": {"mine": data, "number": {"surprisal": [0.9, 0.8, 1.0]}, "overall": data},
        "same_place": {"mine": placed, "number": {"surprisal": [None, None, None]}, "overall": placed},
        "drift": {"mine": {"surprisal": -0.2, "contrast": 0.1, "tis": 0.3}, "number": {"surprisal": 0.9}},
        "pairs": {},
        "pairs_length_controlled": {},
    } | more


def table(text: str, title: str) -> list[str]:
    parts = text.split("\n\n")
    (found,) = [rows for name, rows in zip(parts[::2], parts[1::2], strict=True) if name.startswith(title)]
    return found.split("\n")


def test_a_table_names_every_label_once_and_labels_that_rank_alike_share_a_row() -> None:
    assert table(markdown(figures()), "Data") == [
        "| label | mine | drift |",
        "|---|---|---|",
        "| surprisal | 0.700 (0.690) | -0.200 |",
        "| contrast, tis | 0.400 (0.450) | +0.100 |",
    ]


def test_built_in_sets_stand_apart_and_a_figure_that_could_not_be_had_is_a_dash() -> None:
    assert table(markdown(figures()), "Built-in") == ["| label | number |", "|---|---|", "| surprisal | 0.900 (-) |"]


def test_a_label_that_a_set_does_not_have_is_a_dash() -> None:
    both = {"mine": {"surprisal": [0.7, 0.6, 0.8]}, "yours": {"z_word": [0.8, 0.7, 0.9]}}
    assert table(markdown(figures(auroc=both, same_place=both)), "Data")[2:] == [
        "| surprisal | 0.700 (0.700) | - | -0.200 |",
        "| z_word | - | 0.800 (0.800) | - |",
    ]


def test_pairs_have_how_often_the_better_response_wins_with_and_without_control() -> None:
    pairs = {"mine": {"length": [0.625, 0.5, 0.7]}}
    controlled = {"mine": {"length": [0.5, 0.5, 0.5]}}
    found = markdown(figures(pairs=pairs, pairs_length_controlled=controlled))
    assert table(found, "Pairs")[2:] == ["| length | 0.62 (0.50) |"]


def test_a_table_without_rows_is_left_out() -> None:
    assert "Pairs" not in markdown(figures())
    assert "Pooled" not in markdown(figures())
