"""The heat map as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tokenreward.html.document import document, text
from tokenreward.show.cells import Cell
from tokenreward.show.legend import counts, meaning, origin
from tokenreward.show.rows import Shown, ShownRow
from tokenreward.show.scale import LEVELS, Scale


def page(rows: Sequence[ShownRow], meta: dict[str, Any] | None, title: str) -> str:
    """Return the whole document."""
    scale = Scale.of(reward for row in rows for response in row.responses for reward in response.rewards)
    head = [f"<p>{text(meaning(meta))}</p>", legend(scale), f'<p class="quiet">{text(origin(meta))}</p>']
    return document(title, head, (_row(row, scale) for row in rows))


def legend(scale: Scale) -> str:
    """Return the legend of the colours as HTML."""
    shades = [scale.end * level / LEVELS for level in range(-LEVELS, LEVELS + 1)]
    ramp = "".join(_span(f"{reward:+.2f}", reward, scale, "") for reward in shades)
    return (
        f'<div class="legend"><span>hurts</span><span class="ramp">{ramp}</span><span>helps</span>'
        '<span class="quiet">Point at a token, or reach it with the Tab key, to see its exact reward.'
        " What hurts is underlined too. Stronger rewards than the ends of this scale look like its ends.</span></div>"
    )


def _row(row: ShownRow, scale: Scale) -> str:
    sides = "".join(_response(response, scale) for response in row.responses)
    margin = ""
    if len(row.responses) == 2 and not any(response.error for response in row.responses):
        difference = row.responses[0].total - row.responses[1].total
        margin = f'<p class="quiet">chosen - rejected: {difference:+.2f}</p>'
    return (
        f"<article>\n<h2>{text(row.name)}</h2>\n<h3>prompt</h3>"
        f'\n<div class="prompt" dir="auto">{text(row.prompt)}</div>'
        f'\n<div class="sides">{sides}</div>{margin}\n</article>'
    )


def _response(response: Shown, scale: Scale) -> str:
    body = "".join(heat(response.cells, scale))
    error = f'<p class="error">{text(counts(response))}</p>' if response.error is not None else ""
    head = response.side if response.error is not None else f"{response.side} · {counts(response)}"
    return f'<section>\n<h3>{text(head)}</h3>{error}\n<div class="response" dir="auto">{body}</div>\n</section>'


def heat(cells: Sequence[Cell], scale: Scale, wrong: Sequence[Sequence[int]] = ()) -> Iterator[str]:
    """Yield the cells of a response as HTML.

    Args:
        cells: The cells.
        scale: How strong a reward looks.
        wrong: Characters [start, end) of the response. Cells that overlap them are marked.
    """
    at = 0
    for cell in cells:
        end = at if cell.special else at + len(cell.text)
        marked = any(first < end and at < last for first, last in wrong)
        at = end
        if not cell.rewards:
            yield text(cell.text)
            continue
        exact = ", ".join(f"{reward:+.4f}" for reward in cell.rewards)
        # A line end that is a token of its own has no width: a sign stands for it.
        sign = "↵" * cell.text.count("\n") if not cell.text.strip("\n") else ""
        kinds = " name" * cell.special + " wrong" * marked
        yield _span(sign + cell.text, cell.reward, scale, exact, kinds)


def _span(shown: str, reward: float, scale: Scale, exact: str, kinds: str = "") -> str:
    strength = scale.strength(reward)
    kind = ("plus" if reward >= 0 else "minus") + kinds
    tip = f' tabindex="0" data-reward="{exact}"' if exact else ""
    return f'<span class="{kind}" style="--s:{abs(strength):.2f}"{tip}>{text(shown)}</span>'
