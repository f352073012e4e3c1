"""HTML pages that need nothing else: no script, no font, no address outside themselves."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources

from tokenreward.html.escaping import visible

# Text from a file is escaped and made visible, and even if it were not, the page could not load or run anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def document(title: str, head: Iterable[str], body: Iterable[str], style: str = "") -> str:
    """Return a page.

    Args:
        title: Text.
        head: HTML below the title.
        body: HTML of the main part.
        style: CSS that is added to `page.css`.
    """
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8") + style
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            f"<header>\n<h1>{text(title)}</h1>",
            *head,
            "</header>\n<main>",
            *body,
            "</main>\n</body>\n</html>\n",
        ]
    )


def text(anything: str) -> str:
    """Return text as HTML, harmless and visible."""
    return escape(visible(anything), quote=True)
