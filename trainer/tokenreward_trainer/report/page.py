"""The trainer's HTML pages: training reports, reports of whole runs, evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward.html.document import document


def page_of(title: str, sections: Sequence[str]) -> str:
    """Makes a whole page, which may show charts.

    Args:
        title: The page's title, as text.
        sections: HTML in which everything that is not ours has been escaped.
    """
    return document(title, (), sections, images=True)
