"""The command `tokenreward evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenreward.arguments import Parser
from tokenreward.errors import BadInput

if TYPE_CHECKING:
    from tokenreward_trainer.evaluation.judging.judge import Judging

_EPILOG = """\
PROMPTS has rows with `prompt`, and what the scorer needs (`tokenreward prompts` writes such files). The first
checkpoint is the baseline, with which all others are compared. OUT gets answers/, scores/, judgements.jsonl,
evaluation.json, report.html, and the answers as AlpacaEval and Arena-Hard read them. Interrupted in any way, the same
command goes on where it stopped; answers, scores and judgements that stand in OUT are used again.
"""


def evaluate(argv: list[str]) -> int:
    """Runs `tokenreward evaluate` with the arguments behind its name; returns the exit status."""
    from tokenreward_trainer.cli_options import add_options, section_of
    from tokenreward_trainer.evaluation.settings import Answering
    from tokenreward_trainer.scorers import SCORERS

    scorers = "\n".join(f"  {how}" for _, how in SCORERS.values())
    parser = Parser(
        prog="tokenreward evaluate",
        description="Compare checkpoints on the same prompts, with intervals.",
        epilog=f"scorers:\n{scorers}\n  http://... or https://...: an endpoint (docs/pipeline.md)\n\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompts", type=Path, metavar="PROMPTS", help=".jsonl, .parquet or .arrow")
    parser.add_argument(
        "--models", required=True, nargs="+", metavar="NAME=DIR", help="two checkpoints or more, the baseline first"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help="a directory")
    parser.add_argument("--scorer", help="what is right: see below")
    judge = parser.add_argument_group("judge", "which of two answers is better; its key is read from JUDGE_API_KEY")
    judge.add_argument("--judge", metavar="URL", help="an OpenAI-compatible address, as in http://127.0.0.1:8000/v1")
    judge.add_argument("--judge-model", default="", metavar="NAME", help="the judge's name there")
    judge.add_argument("--judge-logprobs", action="store_true", help="weigh its letters by their probabilities")
    judge.add_argument("--judge-max-tokens", type=int, default=16, metavar="N", help="of a reply (default: 16)")
    judge.add_argument("--judge-parallel", type=int, default=8, metavar="N", help="questions at once (default: 8)")
    judge.add_argument("--reference", type=Path, metavar="FILE", help="answers to compare with, for the first's")
    judge.add_argument("--gamed", type=Path, metavar="FILE", help="AlpacaEval's df_gamed.csv, for its own prompts")
    parser.add_argument("--examples", type=int, default=12, metavar="N", help="prompts in the report (default: 12)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_options(parser, Answering)
    arguments = parser.parse_args(argv)
    models, settings = models_of(arguments.models), section_of(Answering, arguments)
    from rich.console import Console

    from tokenreward_trainer.evaluation.output.table import draw
    from tokenreward_trainer.evaluation.run import evaluate as run

    found = run(
        arguments.prompts,
        models,
        arguments.out,
        settings,
        arguments.scorer,
        judging=_judging(arguments),
        reference=arguments.reference,
        gamed=arguments.gamed,
        examples=arguments.examples,
        progress=not arguments.quiet,
    )
    draw(Console(), found)
    print(f"report: {(arguments.out / 'report.html').absolute()}")
    return 0


def _judging(arguments: argparse.Namespace) -> Judging | None:
    from tokenreward_trainer.evaluation.judging.judge import Judging

    if arguments.judge is None:
        without = next((name for name in ("judge_model", "reference", "gamed") if getattr(arguments, name)), None)
        if without is not None:
            raise BadInput(f"--{without.replace('_', '-')} is for a judge: name it with --judge URL")
        return None
    return Judging(
        arguments.judge,
        arguments.judge_model,
        arguments.judge_logprobs,
        arguments.judge_max_tokens,
        arguments.judge_parallel,
    )


def models_of(given: Sequence[str]) -> dict[str, str]:
    """Reads checkpoints as NAME=DIR, in order.

    Raises:
        BadInput: One is not of that form, or a name is given twice.
    """
    models: dict[str, str] = {}
    for one in given:
        name, equals, model = one.partition("=")
        if not equals or not name or not model:
            raise BadInput(f"--models {one}: write NAME=DIRECTORY, as in start=models/base")
        if name in models:
            raise BadInput(f"--models: two checkpoints are called {name!r}; give each its own name")
        models[name] = model
    return models
