"""`tokenreward audit`: whether the labels point at the tokens that are wrong, before anybody trains on them."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tokenreward.arguments import Parser, positive
from tokenreward.commands.common import add_connection, add_contexts, connected, template_of
from tokenreward.errors import BadInput, TokenRewardError

if TYPE_CHECKING:
    from tokenreward.audit.sets import AuditSet
    from tokenreward.estimators import Estimator
    from tokenreward.schema import Template

T = TypeVar("T")

#: Every figure is there, but some responses could not be scored.
SOME_FAILED = 3

_EPILOG = """\
A FILE is JSON Lines or parquet, of rows with `prompt`, `response` and `bad_spans` (a list of [start, end) characters
of the response that are wrong; `ignore_spans` for what nobody judged, `task` for the kind of task or the source), or
with `prompt`, `chosen` and `rejected`.
The column `context` (an object) or --context brings context fields; a label that needs fields which a set does not
have is left out for it. Without a FILE the built-in sets are audited. docs/label-quality.md says how to read the
tables.

Exit codes: 0 done, whatever the verdict; 3 done, but some responses could not be scored; 1 nothing was measured; 2
wrong usage.
"""


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    from rich.console import Console

    from tokenreward.audit.auditing import audit
    from tokenreward.audit.output.json_report import full

    # All that is needed later too: what cannot be imported should be known before an hour of scoring.
    from tokenreward.audit.output.kept_verdicts import kept_verdicts
    from tokenreward.audit.output.page import page
    from tokenreward.audit.output.parquet_rows import parquet_rows
    from tokenreward.audit.output.table import draw
    from tokenreward.audit.plan import labels
    from tokenreward.audit.score_store import ScoreStore
    from tokenreward.audit.served_models import chosen_model, labeler_labels
    from tokenreward.dataset.formats import write_rows
    from tokenreward.dataset.progress import progress_for

    sets = _sets(arguments)
    methods = _estimators(arguments.estimators)
    wanted = labels(_templates(arguments.templates), methods, arguments.pool, arguments.pool_by)
    folder: Path | None = arguments.out
    with connected(arguments.url, arguments.key) as client, progress_for(not arguments.quiet) as progress:
        models = client.models()
        wanted += labeler_labels(models, arguments.labeler, arguments.pool, arguments.pool_by)
        report = audit(
            client,
            sets,
            wanted,
            model=chosen_model(models, arguments.model, arguments.labeler),
            progress=progress,
            store=ScoreStore(folder and folder / "scores"),
            named=[method.name for method in methods] if arguments.estimators else [],
            seed=arguments.seed,
            resamples=arguments.resamples,
        )
        if found := kept_verdicts(report):
            with contextlib.suppress(TokenRewardError):  # the report stands without the service's copy
                client.keep_verdicts(found)
    console = Console()
    draw(console if console.is_terminal else Console(width=80), report)
    if path := arguments.json or (folder and folder / "audit.json"):
        _write(path, json.dumps(full(report), indent=2))
        print(f"figures: {path}")
    if path := arguments.html or (folder and folder / "audit.html"):
        _write(path, page(report))
        print(f"page: {path}")
    if path := arguments.parquet:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, parquet_rows(report))
        print(f"rows: {path}")
    return SOME_FAILED if report.failures else 0


def _sets(arguments: argparse.Namespace) -> list[AuditSet]:
    """Return the built-in sets asked for, then the files, each under a name of its own."""
    from tokenreward.audit import builtin
    from tokenreward.audit.report import OVERALL
    from tokenreward.audit.set_files import load
    from tokenreward.audit.sets import capped, thinned

    if arguments.context and not arguments.files:
        raise BadInput("--context says which column of a file holds a context field, and no file is given")
    found: list[AuditSet] = []
    if arguments.builtin is not None or not arguments.files:
        found += builtin.load(_names(arguments.builtin or ""))
    for path in map(Path, arguments.files):
        taken = {OVERALL, *(one.name for one in found)}
        name = path.stem if path.stem not in taken else str(path)
        if name in taken:
            raise BadInput(f"{path}: given twice")
        found.append(load(path, name, dict(arguments.context)))
    found = [thinned(one, arguments.limit) for one in found]
    return found if arguments.responses is None else [capped(one, arguments.responses) for one in found]


def _templates(given: str | None) -> list[Template]:
    from tokenreward import templates

    # A template that names a model needs one that most services do not have: it has to be asked for.
    everything = templates.of_one_model()
    return _chosen(given, lambda name: templates.resolve(template_of(name)), everything)


def _estimators(given: str | None) -> list[Estimator]:
    from tokenreward import estimators

    return _chosen(given, estimators.resolve, list(estimators.shipped().values()))


def _chosen(given: str | None, find: Callable[[str], T], everything: Sequence[T]) -> list[T]:
    return list(everything) if given is None else [find(name) for name in _names(given)]


def _names(given: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))


def _write(path: Path, content: str) -> None:
    from tokenreward.dataset.atomic import replace

    path.parent.mkdir(parents=True, exist_ok=True)
    with replace(path) as file:
        file.write(content.encode() + b"\n")


def _parser() -> Parser:
    parser = Parser(
        prog="tokenreward audit",
        description="Measure whether token rewards point at what is wrong, beside surprisal, chance, place and length.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="*", help="responses with bad spans, or pairs: .jsonl, .parquet")
    parser.add_argument(
        "--builtin", metavar="NAMES", nargs="?", const="", help="also the built-in sets, all or those named: a,b"
    )
    parser.add_argument("--templates", metavar="NAMES", help="shipped templates or .toml files: a,b (default: all)")
    parser.add_argument("--estimators", metavar="NAMES", help="a,b (default: all)")
    add_contexts(parser)
    parser.add_argument(
        "--pool",
        choices=["word", "sentence", "line", "step", "spans"],
        help="judge rewards that are pooled over each of these, or over the segments in the column `spans`",
    )
    parser.add_argument("--pool-by", choices=["mean", "min", "sum"], default="mean", help="default: mean")
    parser.add_argument("--model", help="a served model's name, or name@fingerprint (default: the only one)")
    parser.add_argument(
        "--labeler",
        action="append",
        default=[],
        metavar="NAME",
        help="a trained labeler that is served beside the model (docs/labels.md); repeatable",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="at most N rows of every set, evenly spread")
    parser.add_argument(
        "--responses", type=positive, metavar="N", help="at most N responses of every set; a pair has two"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write DIR/audit.json and DIR/audit.html; DIR/scores keeps what was scored, so that the same command goes"
        " on after an interruption, and neither it nor another --pool asks for anything again; other templates and"
        " estimators may, and templates that name models always do",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a self-contained page with charts and examples"
    )
    parser.add_argument(
        "--parquet", type=Path, metavar="FILE", help="write a row for each set, label and figure that has an interval"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the resamples and the random baseline")
    parser.add_argument(
        "--resamples", type=positive, default=1000, metavar="N", help="of the bootstrap (default: 1000)"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_connection(parser)
    return parser
