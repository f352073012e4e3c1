"""The command `tokenreward prompts`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokenreward.arguments import Parser
from tokenreward.errors import BadInput


def prompts(argv: list[str]) -> int:
    """Runs `tokenreward prompts` with the arguments behind its name; returns the exit status."""
    from tokenreward_trainer.prompts import FAMILIES, parts_of, write_prompts

    levels = [f"  {name}:{n}  {text}" for name, f in FAMILIES.items() for n, text in enumerate(f.levels, 1)]
    parser = Parser(
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
