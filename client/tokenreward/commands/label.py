"""`tokenreward label IN --out OUT`: labels a file and prints a summary."""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

from tokenreward.commands.common import ADDRESS_HELP, add_connection, pair
from tokenreward.dataset.columns import KEPT
from tokenreward.errors import BadInput, ConnectionFailed
from tokenreward.schema import Template

#: Every response has an outcome, but some of them have no rewards.
SOME_FAILED = 3

_EPILOG = """\
Rows have `prompt` and `response`, or `prompt`, `chosen` and `rejected`; text or chat messages. A labeled row keeps
its columns and gains token_ids, token_rewards and token_error (chosen_... and rejected_... for pairs). Where the
provenance stands: the schema metadata of .parquet and .arrow, OUT.meta.json for .jsonl.

Interrupted in any way, the same command goes on where it stopped. Exit codes: 0 all labeled, 3 some responses have an
error instead of rewards (their rows say which), 1 nothing was written, 2 wrong usage, 130 interrupted.
"""


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    from tokenreward.dataset import label_dataset

    try:
        labeled = label_dataset(
            Path(arguments.input),
            Path(arguments.out),
            model=arguments.model,
            template=_template(arguments.template),
            estimator=arguments.estimator,
            parameters=dict(arguments.parameter),
            contexts=dict(arguments.context),
            pool=arguments.pool,
            pool_by=arguments.pool_by,
            score=arguments.score,
            include=arguments.include,
            models=dict(arguments.branch_model),
            tokens=arguments.tokens,
            split=arguments.split,
            url=arguments.url,
            api_key=arguments.key,
            progress=not arguments.quiet,
            rows_per_job=arguments.rows_per_job,
            jobs_in_flight=arguments.jobs_in_flight,
            keep_jobs=arguments.keep_jobs,
        )
    except ConnectionFailed as error:
        raise ConnectionFailed(f"{error}\n{ADDRESS_HELP}") from None
    except OSError as error:  # a full disk
        raise BadInput(f"{error}; what is labeled is kept, and the same command goes on from here") from None
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    fingerprint = labeled.provenance.fingerprint
    done = "was labeled already" if labeled.already else "labeled"
    print(
        f"{labeled.path} {done}: {labeled.rows} rows, {labeled.responses} responses, {labeled.tokens} tokens by "
        f"{fingerprint.model} ({fingerprint.engine}, {fingerprint.dtype})"
    )
    if not labeled.failed:
        return 0
    print(f"{labeled.failed} of {labeled.responses} responses have an error instead of rewards:", file=sys.stderr)
    for reason, count in labeled.reasons.items():
        print(f"  {count} x {reason}", file=sys.stderr)
    return SOME_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokenreward label",
        description="Label every response of a file: one reward per token.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="IN", help=".jsonl, .parquet, .arrow, or a dataset directory")
    parser.add_argument("--out", required=True, metavar="OUT", help=".parquet or .arrow, or .jsonl from JSONL")
    parser.add_argument("--model", help="a served model's name, or name@fingerprint (default: the only one)")
    parser.add_argument("--template", help="a shipped template's name or a .toml file (default: the estimator's own)")
    parser.add_argument("--estimator", default="contrast", help="how log-probs become rewards (default: contrast)")
    parser.add_argument(
        "--parameter",
        type=_parameter,
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="a parameter of the estimator, as in tau=0.05; may be repeated",
    )
    parser.add_argument(
        "--context",
        type=pair,
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help="where a context field comes from: a column, or @best, @worst, @chosen, @rejected, @outcome; repeatable",
    )
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
        help="also keep difference,segments,logprobs (any of them)",
    )
    parser.add_argument("--tokens", action="store_true", help="also keep each token's text and place, for `show`")
    parser.add_argument("--split", help="which split of a dataset directory")
    add_connection(parser)
    parser.add_argument("--rows-per-job", type=_positive, default=256, metavar="N", help="default: 256")
    parser.add_argument("--jobs-in-flight", type=_positive, default=4, metavar="N", help="default: 4")
    parser.add_argument("--keep-jobs", action="store_true", help="leave the finished jobs on the service")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _template(given: str | None) -> str | Template | None:
    if given is None or not given.endswith(".toml"):
        return given
    try:
        return Template(**tomllib.loads(Path(given).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:  # pydantic's and tomllib's errors are ValueErrors
        raise BadInput(f"template {given}: {error}") from None


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not (number := int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


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
