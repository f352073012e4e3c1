"""HTML pages that need nothing else: no script, no font, no address outside themselves."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources

from tokenreward.html.escaping import visible

# Text from a file is escaped and made visible, and even if it were not, the page could not load or run anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def document(title: str, head: Iterable[str], body: Iterable[str], *, images: bool = False) -> str:
    """Return a whole page, which loads nothing and runs nothing. All pages have the one style sheet, `page.css`.

    Args:
        title: The page's title, as text.
        head: What stands below the title, as HTML.
        body: The page's sections, as HTML in which everything that is not ours has been escaped.
        images: Whether pictures in `data:` addresses may be shown.
    """
    sheet = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    policy = f"{_POLICY}; img-src data:" if images else _POLICY
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>\n<style>\n{sheet}</style>\n</head>\n<body>",
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
