"""The one look of the trainer's HTML pages: training reports, reports of whole runs, evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from tokenreward.html.document import document


def page_of(title: str, sections: Sequence[str]) -> str:
    """Makes a whole page with the trainer's style sheet, which may show charts.

    Args:
        title: The page's title, as text.
        sections: HTML in which everything that is not ours has been escaped.
    """
    sheet = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return document(title, (), sections, sheet=sheet, images=True)
