"""The command `tokenreward sample`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokenreward.arguments import Parser

_EPILOG = """\
PROMPTS has rows with `prompt`: text, or messages. OUT has the same rows with a column `responses`, a list of
{"text", "token_ids", "finished"}; ids include the token that ended the response. OUT.meta.json says how they were made.
The defaults are the paper's settings. Interrupted in any way, the same command goes on where it stopped.
"""


def sample(argv: list[str]) -> int:
    """Runs `tokenreward sample` with the arguments behind its name; returns the exit status."""
    parser = Parser(
        prog="tokenreward sample",
        description="Sample responses to prompts from a model, with their token ids.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompts", type=Path, metavar="PROMPTS", help=".jsonl, .parquet or .arrow")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help=".jsonl")
    parser.add_argument("--model", required=True, help="a model directory or hub name")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    from tokenreward_trainer.cli_options import add_options, section_of
    from tokenreward_trainer.sampling.settings import Sampling

    add_options(parser, Sampling)
    arguments = parser.parse_args(argv)
    settings = section_of(Sampling, arguments)
    from tokenreward_trainer.sampling.sample_file import sample_file

    done = sample_file(arguments.prompts, arguments.out, arguments.model, settings, progress=not arguments.quiet)
    said = "was sampled already" if done.already else "sampled"
    counts = done.counts
    print(f"{done.path} {said}: {counts.responses} responses to {counts.rows} prompts, {counts.tokens} tokens")
    return 0
