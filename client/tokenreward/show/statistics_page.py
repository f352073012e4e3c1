"""The statistics of a labeled file as one HTML page: the numbers as the terminal has them, and the charts."""

from __future__ import annotations

from collections.abc import Iterable

from tokenreward.html.document import document, text
from tokenreward.show.statistics_svg import svg
from tokenreward.statistics.labeled_rewards import Statistics


def page(found: Statistics, title: str, origin: str, lines: Iterable[str]) -> str:
    """Return the whole document.

    Args:
        found: The statistics.
        title: What stands at the top.
        origin: Where the rewards came from, in a line.
        lines: The numbers, as the terminal shows them.
    """
    head = [f'<p class="quiet">{text(origin)}</p>']
    numbers = text("\n".join(lines).strip("\n"))
    columns = f'<div class="wide" tabindex="0"><pre class="columns">{numbers}</pre></div>'
    body = [
        f"<article>\n<h2>Charts</h2>\n<figure>{svg(found, title)}</figure>\n</article>",
        f"<article>\n<h2>Numbers</h2>\n{columns}\n</article>",
    ]
    return document(title, head, body)
