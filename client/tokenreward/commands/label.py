"""`tokenreward label IN --out OUT`: labels a file and prints a summary."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tokenreward.arguments import Parser, columns, pair, positive
from tokenreward.commands.common import add_connection, add_contexts, add_names, address_help, template_of
from tokenreward.dataset.columns import KEPT
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.errors import BadInput
from tokenreward.schema import TOP_K

if TYPE_CHECKING:
    from tokenreward.dataset import Labeled
    from tokenreward.dataset.reading import InputOptions

#: Every response has an outcome, but some of them have no rewards.
SOME_FAILED = 3

_EPILOG = """\
IN is .jsonl, .json, .csv or .tsv (also .gz and .zst), .parquet, .arrow, a folder of parquet files, a directory that
`datasets` saved, a data set's name on the hub, or - for stdin. Rows have `prompt` and `response`, or `prompt`, `chosen`
and `rejected`, as text or chat messages; docs/data.md has every shape that is understood. A labeled row keeps its
columns and gains token_ids, token_rewards and token_error (chosen_... and rejected_... for pairs). Where the provenance
stands: the schema metadata of .parquet and .arrow, OUT.meta.json for .jsonl.

Interrupted in any way, the same command goes on where it stopped, except with --out -, where it begins anew. Exit
codes: 0 all labeled, 3 some responses have an error instead of rewards (their rows say which), 1 nothing was written, 2
wrong usage, 130 interrupted.
"""


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.out is None and not arguments.dry_run:
        parser.error("the following arguments are required: --out (or --dry-run)")
    from tokenreward.commands.streams import streamed
    from tokenreward.dataset.reading import InputOptions

    with warnings.catch_warnings():
        warnings.showwarning = _warn
        with streamed(arguments.input, arguments.out) as (data, out, name):
            options = InputOptions(
                arguments.split,
                arguments.columns,
                arguments.limit,
                arguments.skip_invalid,
                arguments.rows_per_job,
                name,
            )
            if arguments.dry_run:
                from tokenreward.commands.dry_run import dry_run

                return dry_run(data, out, options, _scoring(arguments), arguments)
            return _label(data, out, options, arguments)


def _label(data: str, out: Path, options: InputOptions, arguments: argparse.Namespace) -> int:
    from tokenreward.dataset.label_run import LabelOptions
    from tokenreward.dataset.labeling import input_name, label_input

    try:
        with address_help():
            run = LabelOptions(
                _scoring(arguments),
                arguments.model,
                arguments.jobs_in_flight,
                arguments.keep_jobs,
                options.name or input_name(data),
            )
            labeled = label_input(
                data, out, options, run, url=arguments.url, api_key=arguments.key, progress=not arguments.quiet
            )
    except OSError as error:  # a full disk
        kept = "" if arguments.out == "-" else "; what is labeled is kept, and the same command goes on from here"
        raise BadInput(f"{error}{kept}") from None
    except KeyboardInterrupt:
        on = "nothing was written" if arguments.out == "-" else "the same command goes on from here"
        print(f"\ninterrupted; {on}", file=sys.stderr)
        return 130
    return _told(labeled, str(arguments.out))


def _told(labeled: Labeled, out: str) -> int:
    """Say what came of it, on stderr if stdout has the rows, and return the exit code."""
    fingerprint = labeled.provenance.fingerprint
    done = "was labeled already" if labeled.already else "labeled"
    print(
        f"{out} {done}: {labeled.rows} rows, {labeled.responses} responses, {labeled.tokens} tokens by "
        f"{fingerprint.model} ({fingerprint.engine}, {fingerprint.dtype})",
        file=sys.stderr if out == "-" else sys.stdout,
    )
    if labeled.rejected:
        # With stdout as the output, `streamed` writes them to stderr next.
        place = ":" if out == "-" else f", and are in {labeled.rejected_path}"
        rows = f"{labeled.rejected} row{'' if labeled.rejected == 1 else 's'}"
        print(f"{rows} could not be labeled{place}", file=sys.stderr)
    if not labeled.failed:
        return 0
    print(f"{labeled.failed} of {labeled.responses} responses have an error instead of rewards:", file=sys.stderr)
    for reason, count in labeled.reasons.items():
        print(f"  {count} x {reason}", file=sys.stderr)
    return SOME_FAILED


def _parser() -> Parser:
    parser = Parser(
        prog="tokenreward label",
        description="Label every response of a file: one reward per token.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="IN", help="a file, a folder, a data set's name on the hub, or - for stdin")
    parser.add_argument("--out", metavar="OUT", help=".jsonl (also .gz and .zst), .parquet or .arrow, or - for stdout")
    add_names(parser)
    parser.add_argument(
        "--parameter",
        type=_parameter,
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="a parameter of the estimator, as in tau=0.05; may be repeated",
    )
    add_contexts(parser)
    parser.add_argument(
        "--branch-model",
        type=pair,
        action="append",
        default=[],
        metavar="BRANCH=NAME",
        help="what scores a branch: an adapter of the model (name or name@version), or another model; repeatable",
    )
    parser.add_argument(
        "--pool",
        choices=["word", "sentence", "line", "step", "spans"],
        help="give every token its segment's reward (spans: the column `spans`)",
    )
    parser.add_argument("--pool-by", choices=["mean", "min", "sum"], default="mean", help="default: mean")
    parser.add_argument(
        "--score",
        choices=["last", "all"],
        default="last",
        help="which of a conversation's turns are scored (all: adds the column token_turns; default: last)",
    )
    parser.add_argument(
        "--include",
        type=_names,
        default=(),
        metavar="NAMES",
        help=f"also keep any of {','.join(KEPT)} (named: the log-probs of the ids in column `named_ids`)",
    )
    parser.add_argument(
        "--top-k", type=positive, default=TOP_K, metavar="K", help=f"how many ids `top` keeps (default: {TOP_K})"
    )
    parser.add_argument("--tokens", action="store_true", help="also keep each token's text and place, for `show`")
    parser.add_argument("--split", help="which split of a folder, a directory or a data set of the hub")
    parser.add_argument(
        "--columns",
        type=columns,
        default={},
        metavar="NAME=COLUMN,...",
        help="columns under the names that rows are read by, as in prompt=question,chosen=good",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="label the first N rows only")
    parser.add_argument("--dry-run", action="store_true", help="say what was understood and what it would take; stop")
    parser.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave out rows that cannot be labeled, and write them to OUT.rejected.jsonl with their reasons",
    )
    add_connection(parser)
    parser.add_argument("--rows-per-job", type=positive, default=256, metavar="N", help="default: 256")
    parser.add_argument("--jobs-in-flight", type=positive, default=4, metavar="N", help="default: 4")
    parser.add_argument("--keep-jobs", action="store_true", help="leave the finished jobs on the service")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _scoring(arguments: argparse.Namespace) -> ScoringOptions:
    return ScoringOptions.of(
        None if arguments.template is None else template_of(arguments.template),
        arguments.estimator,
        parameters=dict(arguments.parameter),
        pool=arguments.pool,
        pool_by=arguments.pool_by,
        include=[*arguments.include, "tokens"] if arguments.tokens else arguments.include,
        top_k=arguments.top_k,
        contexts=dict(arguments.context),
        score=arguments.score,
        models=dict(arguments.branch_model),
    )


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _parameter(text: str) -> tuple[str, float]:
    name, value = pair(text)
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number") from None


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    odd = next((name for name in names if name not in KEPT), None)
    if odd is not None:
        raise argparse.ArgumentTypeError(f"{odd!r} is none of {', '.join(KEPT)}")
    return names
