"""`tokenreward show FILE`: the heat map of a labeled file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenreward.arguments import Parser, positive
from tokenreward.commands.common import add_connection
from tokenreward.errors import BadInput, ConnectionFailed, Rejected
from tokenreward.schema import ItemResult
from tokenreward.schema.provenance import TOKEN_CLASSIFIER

if TYPE_CHECKING:
    from rich.console import Console

_EPILOG = """\
Blue tokens help and red ones hurt; without colour (NO_COLOR, or output into a pipe) they are marked [+like this] and
[--like this], with more signs for stronger rewards. Where `label --tokens` kept each token's text, the file is all that
is needed; otherwise the service is asked for it, which costs no scoring while its cache remembers what was shown.
"""


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    from tokenreward.dataset.formats import read_meta
    from tokenreward.dataset.inputs.similar_files import no_such_file
    from tokenreward.show.rows import shown_rows

    path = Path(arguments.file)
    if not path.exists():
        raise no_such_file(path)
    meta = read_meta(path)
    count = arguments.limit or (200 if arguments.html else 20)
    with _Service(meta, arguments.url, arguments.key) as service:
        rows = shown_rows(path, arguments.start, count, service)
    if arguments.html:
        from tokenreward.dataset.atomic import replace
        from tokenreward.show.page import page

        with replace(Path(arguments.html)) as file:
            file.write(page(rows, meta, f"Token rewards: {path.name}").encode())
        print(f"{arguments.html}: {len(rows)} rows")
        return 0
    from rich.console import Console

    from tokenreward.show.terminal import draw

    console = Console()
    with _pager(console) if arguments.pager else nullcontext():
        draw(console, rows, meta)
    if len(rows) == count:
        print(f"rows {arguments.start} to {arguments.start + count - 1}; --from {arguments.start + count} goes on")
    return 0


def _pager(console: Console) -> AbstractContextManager[object]:
    """Return the user's pager. Only `less` gets colours, since it is told to let them through."""
    os.environ.setdefault("LESS", "-FRX")
    return console.pager(styles="less" in os.environ.get("PAGER", "less"))


class _Service:
    """Asks the service for the tokens of responses, and connects only if anything must be asked."""

    def __init__(self, meta: dict[str, Any] | None, url: str | None, key: str | None) -> None:
        self._provenance = (meta or {}).get("provenance") or {}
        self._address = (url, key)
        self._client: Any = None

    def __enter__(self) -> _Service:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def __call__(self, items: list[dict[str, Any]]) -> Sequence[ItemResult]:
        from tokenreward.http import Client
        from tokenreward.http.client import LABEL_ITEMS
        from tokenreward.http.item_encoding import item_lines
        from tokenreward.schema import JobOptions

        if self._client is None:
            url, key = self._address
            self._client = Client(url, api_key=key, patience=0.0)
        known = self._provenance
        model = f"{known['fingerprint']['model']}@{known['fingerprint_digest']}" if known else None
        # Only token ids and texts are read from the answer, so that what needs no context and one branch does.
        judges = bool(known) and known["fingerprint"].get("head") == TOKEN_CLASSIFIER
        estimator = "tlcr" if judges else "surprisal"
        options = JobOptions(model=model, template="plain", estimator=estimator, include=["tokens"])
        results: list[ItemResult] = []
        try:
            for first in range(0, len(items), LABEL_ITEMS):
                some = item_lines(items[first : first + LABEL_ITEMS])
                results += self._client.answer_to(some, options).results
        except (ConnectionFailed, Rejected) as error:
            raise BadInput(
                "this file does not hold its tokens' text, and no service can be asked for it:"
                f" label with --tokens, or start the service with the model that labeled it ({error})"
            ) from None
        return results


def _parser() -> Parser:
    parser = Parser(
        prog="tokenreward show",
        description="Show a labeled file as a heat map.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="what `tokenreward label` wrote")
    parser.add_argument("--html", metavar="PAGE", help="write a self-contained HTML page instead")
    parser.add_argument("--from", dest="start", type=int, default=0, metavar="ROW", help="first row (default: 0)")
    parser.add_argument("--limit", type=positive, metavar="N", help="how many rows (default: 20, in a page 200)")
    parser.add_argument("--pager", action="store_true", help="page through it (PAGER, or less)")
    add_connection(parser)
    return parser
