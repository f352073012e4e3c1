"""The heat map as one HTML page that needs nothing else: no script, no font, no address outside itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from typing import Any

from tokenreward.show.cells import Cell
from tokenreward.show.legend import counts, meaning, origin
from tokenreward.show.rows import Shown, ShownRow
from tokenreward.show.scale import LEVELS, Scale
from tokenreward.show.visible import visible

# Text from a file is escaped and made visible, and even if it were not, the page could not load or run anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(rows: Sequence[ShownRow], meta: dict[str, Any] | None, title: str) -> str:
    """The whole document."""
    scale = Scale.of(reward for row in rows for response in row.responses for reward in response.rewards)
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            f"<header>\n<h1>{_text(title)}</h1>\n<p>{_text(meaning(meta))}</p>",
            _legend(scale),
            f'<p class="quiet">{_text(origin(meta))}</p>\n</header>\n<main>',
            *(_row(row, scale) for row in rows),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _legend(scale: Scale) -> str:
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
        f"<article>\n<h2>{_text(row.name)}</h2>\n<h3>prompt</h3>"
        f'\n<div class="prompt" dir="auto">{_text(row.prompt)}</div>'
        f'\n<div class="sides">{sides}</div>{margin}\n</article>'
    )


def _response(response: Shown, scale: Scale) -> str:
    body = "".join(_cells(response.cells, scale))
    error = f'<p class="error">{_text(counts(response))}</p>' if response.error is not None else ""
    head = response.side if response.error is not None else f"{response.side} · {counts(response)}"
    return f'<section>\n<h3>{_text(head)}</h3>{error}\n<div class="response" dir="auto">{body}</div>\n</section>'


def _cells(cells: Sequence[Cell], scale: Scale) -> Iterator[str]:
    for cell in cells:
        if not cell.rewards:
            yield _text(cell.text)
            continue
        exact = ", ".join(f"{reward:+.4f}" for reward in cell.rewards)
        # A line end that is a token of its own has no width: a sign stands for it.
        sign = "↵" * cell.text.count("\n") if not cell.text.strip("\n") else ""
        yield _span(sign + cell.text, cell.reward, scale, exact, special=cell.special)


def _span(text: str, reward: float, scale: Scale, exact: str, special: bool = False) -> str:
    strength = scale.strength(reward)
    kind = ("plus" if reward >= 0 else "minus") + (" name" if special else "")
    tip = f' tabindex="0" data-reward="{exact}"' if exact else ""
    return f'<span class="{kind}" style="--s:{abs(strength):.2f}"{tip}>{_text(text)}</span>'


def _text(text: str) -> str:
    return escape(visible(text), quote=True)
