"""`tokenreward prompts` and `tokenreward sample`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokenreward.errors import BadInput

_EPILOG = """\
PROMPTS has rows with `prompt`: text, or messages. OUT has the same rows with a column `responses`, a list of
{"text", "token_ids", "finished"}; ids include the token that ended the response. OUT.meta.json says how they were made.
The defaults are the paper's settings. Interrupted in any way, the same command goes on where it stopped.
"""


def prompts(argv: list[str]) -> int:
    from tokenreward_trainer.prompts import FAMILIES, parts_of, write_prompts

    levels = [f"  {name}:{n}  {text}" for name, f in FAMILIES.items() for n, text in enumerate(f.levels, 1)]
    parser = argparse.ArgumentParser(
        prog="tokenreward prompts",
        description="Make prompts by rule, with answers that the scorer `verify` can check.",
        epilog="families and levels (a family alone is all of its levels):\n" + "\n".join(levels),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sets", nargs="+", metavar="FAMILY[:LEVEL]")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help=".jsonl")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="default: 200, the sets in turn")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    arguments = parser.parse_args(argv)
    if arguments.count < 1:
        raise BadInput(f"--count {arguments.count}: at least 1")
    write_prompts(arguments.out, parts_of(arguments.sets), arguments.count, arguments.seed)
    print(f"{arguments.out}: {arguments.count} prompts")
    return 0


def sample(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tokenreward sample",
        description="Sample responses to prompts from a model, with their token ids.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompts", type=Path, metavar="PROMPTS", help=".jsonl, .parquet or .arrow")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help=".jsonl")
    parser.add_argument("--model", required=True, help="a model directory or hub name")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    from tokenreward_trainer.options import add_options, section_of
    from tokenreward_trainer.sampling.settings import Sampling

    add_options(parser, Sampling)
    arguments = parser.parse_args(argv)
    settings = section_of(Sampling, arguments)
    from tokenreward_trainer.sampling.run import sample_file

    done = sample_file(arguments.prompts, arguments.out, arguments.model, settings, progress=not arguments.quiet)
    said = "was sampled already" if done.already else "sampled"
    counts = done.counts
    print(f"{done.path} {said}: {counts.responses} responses to {counts.rows} prompts, {counts.tokens} tokens")
    return 0
