"""The command `tokenreward train-labeler KIND [FILE ...] --model MODEL --out DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokenreward.arguments import Parser

_EPILOG = """\
classifier: judges every token (TLCR). Label with it by --estimator tlcr.
corrector: rewrites with few edits (RLMEC). Label with it by --estimator rlmec.

A FILE has `prompt` with `rejected` and `chosen`, with `response` and `revised`, or with `original` and `response`.
Serve what comes out by `tokenreward serve --engine transformers --model DIR`.
"""


def train_labeler(argv: list[str]) -> int:
    """Runs `tokenreward train-labeler` with the arguments behind its name; returns the exit status."""
    from tokenreward_trainer.cli_options import add_options, section_of
    from tokenreward_trainer.labeler.settings import LabelerSettings

    parser = Parser(
        prog="tokenreward train-labeler",
        description="Train a model that labels, on edits.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=["classifier", "corrector"], metavar="KIND", help="classifier or corrector")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=".jsonl, .parquet or .arrow")
    parser.add_argument("--model", required=True, help="the language model to begin with: a directory or a hub name")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    add_options(parser, LabelerSettings)
    arguments = parser.parse_args(argv)
    settings = section_of(LabelerSettings, arguments)
    from tokenreward_trainer.labeler.run import train

    record = train(arguments.kind, arguments.model, arguments.files, arguments.out, settings)
    print(f"{arguments.out}: a {record['kind']} of {record['edits']} edits, in {record['seconds']:.0f} s")
    print(f"data {record['data_sha256']}")
    if losses := record["losses"]:
        print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} at last")
    return 0
