"""`tokenreward render`: what a worker would score of each row, and what the trainer would train on.

Only the model's tokenizer and chat template are needed, no weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tokenreward import templates
from tokenreward.arguments import Parser
from tokenreward.errors import BadInput
from tokenreward.schema import Template

_EPILOG = """\
For each response of a row: the prompt of every branch of the template and the response, as the model reads them, and
whether the trainer reads the same. --ids adds token ids, and of each response token its characters in the text that
was sent. A response that cannot be read has the reason in its place. The status is 1 if worker and trainer differ.
"""


def render(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    from tokenreward_workers.tools.rendered_rows import Reader, rendered_rows

    model, path = Path(arguments.model).expanduser(), Path(arguments.file)
    if not model.is_dir():
        from tokenreward_workers.model_files.resolve import resolve_model

        model = resolve_model(arguments.model).path
    rows = islice(_rows(path), arguments.start, arguments.start + arguments.limit)
    reader = Reader(model, _template(arguments.template))
    same = True
    for row in rendered_rows(reader, rows, arguments.start, str(path), arguments.score):
        sys.stdout.write(row.shown(ids=arguments.ids))
        same &= row.same
    return 0 if same else 1


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    from tokenreward.dataset.formats import read_labeled

    return read_labeled(path)


def _template(name: str) -> Template:
    if not name.endswith(".toml"):
        return templates.resolve(name)
    import tomllib

    try:
        return Template(**tomllib.loads(Path(name).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput(f"{name}: no template ({error})") from None


def _parser() -> Parser:
    parser = Parser(
        prog="tokenreward render",
        description="Show what a worker would score and the trainer would train on, without a model's weights.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="IN", help="a .jsonl, .parquet or .arrow file, labeled or not")
    parser.add_argument("--model", required=True, help="a directory with a tokenizer, `demo`, or a hub name")
    parser.add_argument("--template", default="revision", help="a shipped template's name or a .toml file")
    parser.add_argument(
        "--score",
        choices=["last", "all"],
        help="which of a conversation's turns are scored (default: as the file was labeled, or last)",
    )
    parser.add_argument("--ids", action="store_true", help="also show token ids and offsets")
    parser.add_argument("--from", dest="start", type=int, default=0, help="the first row (default: 0)")
    parser.add_argument("--limit", type=int, default=20, help="how many rows (default: 20)")
    return parser
