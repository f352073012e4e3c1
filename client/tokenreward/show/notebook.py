"""Results as a heat map without a file, in a notebook's cell or printed. `ItemResult` and `LabelResponse` call this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenreward.html.document import text
from tokenreward.schema import ItemResult
from tokenreward.show.cells import Cell, cells
from tokenreward.show.legend import counts
from tokenreward.show.rows import Shown, ShownRow
from tokenreward.show.scale import Scale

#: The colours of every heat map, as red, green and blue, and the underlines that go with them.
_HELPS, _HURTS = ("90,167,220", "solid"), ("244,122,92", "dotted")


def as_html(results: Sequence[ItemResult]) -> str:
    """Return results as HTML that needs no style sheet, on the scale that all written pages begin with."""
    rows = _rows(results)
    scale = Scale.fixed(reward for row in rows for shown in row.responses for reward in shown.rewards)
    drawn = []
    for row in rows:
        (shown,) = row.responses
        head = f'<div style="opacity:.7;font-size:85%">{text(row.name)} · {text(counts(shown))}</div>'
        body = "".join(_span(cell, scale) for cell in shown.cells)
        drawn.append(f'{head}<div style="white-space:pre-wrap;line-height:1.7;margin-bottom:.7em">{body}</div>')
    return "".join(drawn)


def print_results(results: Sequence[ItemResult], provenance: dict[str, Any] | None = None) -> None:
    """Print results as `tokenreward show` does.

    Args:
        results: The results.
        provenance: Where the rewards came from, if it is known.
    """
    from rich.console import Console

    from tokenreward.show.terminal import draw

    draw(Console(), _rows(results), None if provenance is None else {"provenance": provenance})


def _rows(results: Sequence[ItemResult]) -> list[ShownRow]:
    return [ShownRow(result.id or f"item {result.index}", "", (_shown(result),)) for result in results]


def _shown(result: ItemResult) -> Shown:
    rewards = tuple(result.rewards or ())
    if result.error is not None:
        return Shown("response", (), (), f"{result.error.code}: {result.error.message}")
    if result.tokens is None:
        ids = tuple(
            Cell(f"{token} ", (reward,), special=True)
            for token, reward in zip(result.token_ids or (), rewards, strict=True)
        )
        return Shown("response", ids, rewards, note="since the result holds no text: ask for include=['tokens']")
    return Shown("response", tuple(cells(None, result.tokens, None, rewards)), rewards)


def _span(cell: Cell, scale: Scale) -> str:
    strength = scale.strength(cell.reward)
    colour, line = _HELPS if strength >= 0 else _HURTS
    share = 0.75 * abs(strength)
    style = f"background:rgba({colour},{share:.2f});border-bottom:2px {line} rgba(128,128,128,{share:.2f})"
    # Blanks before a word have no colour: a line that ends there would keep a coloured sliver of them.
    shown = cell.text.lstrip() or cell.text
    before = cell.text[: len(cell.text) - len(shown)]
    return f'{text(before)}<span style="{style}" title="{cell.reward:+.4f}">{text(shown)}</span>'
