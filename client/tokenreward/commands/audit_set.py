"""`tokenreward audit-set`: other people's sets of marked errors as sets that `tokenreward audit` reads."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from tokenreward.arguments import Parser
from tokenreward.errors import BadInput


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    from tokenreward.audit.converters import CONVERTERS, converted
    from tokenreward.dataset.atomic import replace
    from tokenreward.dataset.jsonl import json_line

    known = "\n".join(f"  {kind:13} {' and '.join(one.files)}" for kind, one in CONVERTERS.items())
    parser = Parser(
        prog="tokenreward audit-set",
        description="Turn a set of responses with marked errors into one that `tokenreward audit` reads.",
        epilog=f"KIND and its files, which you bring:\n{known}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", metavar="KIND")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    parser.add_argument("--out", metavar="OUT", required=True, type=Path, help="a .jsonl file")
    arguments = parser.parse_args(argv)
    if arguments.out.suffix != ".jsonl":
        raise BadInput(f"{arguments.out}: the output is a .jsonl file")
    responses = errors = 0
    with replace(arguments.out) as file:
        for row in _some(converted(arguments.kind, arguments.files), arguments.files):
            file.write(json_line(row))
            responses += 1
            errors += len(row["bad_spans"])
    print(f"{arguments.out}: {responses} responses, {errors} bad spans")
    return 0


def _some(rows: Iterator[dict[str, Any]], files: list[Path]) -> Iterator[dict[str, Any]]:
    """Return the rows. Raises BadInput if there are none."""
    first = next(rows, None)
    if first is None:
        raise BadInput(f"{files[0]}: it has no response that can be audited")
    return chain([first], rows)
