"""The heat map as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenreward.html.document import document, text
from tokenreward.show.heat_map import heat, legend, own_scale, scale_switch
from tokenreward.show.legend import counts, meaning, origin
from tokenreward.show.rows import Shown, ShownRow
from tokenreward.show.scale import Scale


def page(rows: Sequence[ShownRow], meta: dict[str, Any] | None, title: str) -> str:
    """Return the whole document."""
    scale = Scale.fixed(reward for row in rows for response in row.responses for reward in response.rewards)
    said = [f"<p>{text(meaning(meta))}</p>", f'<p class="quiet">{text(origin(meta))}</p>']
    return document(title, [*said, legend(scale), scale_switch()], (_row(row, scale) for row in rows))


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
    own = Scale.of(response.rewards)
    body = "".join(heat(response.cells, scale, own))
    error = f'<p class="error">{text(counts(response))}</p>' if response.error is not None else ""
    head = text(response.side if response.error is not None else f"{response.side} · {counts(response)}")
    named = "" if response.error is not None else own_scale(own)
    return f'<section>\n<h3>{head}{named}</h3>{error}\n<div class="heat" dir="auto">{body}</div>\n</section>'
