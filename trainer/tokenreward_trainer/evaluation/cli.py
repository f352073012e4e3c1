"""`tokenreward evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tokenreward.errors import BadInput

_EPILOG = """\
PROMPTS has rows with `prompt`, and what the scorer needs (`tokenreward prompts` writes such files). The first
checkpoint is the baseline, with which all others are compared. OUT gets answers/, scores/, evaluation.json and
report.html. Interrupted in any way, the same command goes on where it stopped; answers that stand in OUT are used
again.
"""


def evaluate(argv: list[str]) -> int:
    from tokenreward_trainer.evaluation.settings import Answering
    from tokenreward_trainer.options import add_options, section_of
    from tokenreward_trainer.scorers import SCORERS

    scorers = "\n".join(f"  {how}" for _, how in SCORERS.values())
    parser = argparse.ArgumentParser(
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
    parser.add_argument("--examples", type=int, default=12, metavar="N", help="prompts in the report (default: 12)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_options(parser, Answering)
    arguments = parser.parse_args(argv)
    models, settings = models_of(arguments.models), section_of(Answering, arguments)
    from rich.console import Console

    from tokenreward_trainer.evaluation.run import evaluate as run
    from tokenreward_trainer.evaluation.table import draw

    found = run(
        arguments.prompts,
        models,
        arguments.out,
        settings,
        arguments.scorer,
        examples=arguments.examples,
        progress=not arguments.quiet,
    )
    draw(Console(), found)
    print(f"report: {(arguments.out / 'report.html').absolute()}")
    return 0


def models_of(given: Sequence[str]) -> dict[str, str]:
    """From NAME=DIR, in order. Raises BadInput for what is not of that form, and for a name given twice."""
    models: dict[str, str] = {}
    for one in given:
        name, equals, model = one.partition("=")
        if not equals or not name or not model:
            raise BadInput(f"--models {one}: write NAME=DIRECTORY, as in start=models/base")
        if name in models:
            raise BadInput(f"--models: two checkpoints are called {name!r}; give each its own name")
        models[name] = model
    return models
