"""The command `tokenreward rank`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokenreward.arguments import Parser

_EPILOG = """\
OUT has one row for each prompt whose responses differ enough: prompt, chosen, rejected, chosen_token_ids,
rejected_token_ids (which `tokenreward label` sends as they are) and scores. Groups without a pair are dropped and
counted; OUT's neighbour .scores.jsonl has all groups and scores.
Interrupted in any way, the same command goes on where it stopped.
"""


def rank(argv: list[str]) -> int:
    """Runs `tokenreward rank` with the arguments behind its name; returns the exit status."""
    from tokenreward_trainer.cli_options import add_options, section_of
    from tokenreward_trainer.ranking.pair_selection import Ranking
    from tokenreward_trainer.scorers import SCORERS

    scorers = "\n".join(f"  {how}" for _, how in SCORERS.values())
    parser = Parser(
        prog="tokenreward rank",
        description="Make pairs of the best and the worst of sampled responses.",
        epilog=f"scorers:\n{scorers}\n  http://... or https://...: an endpoint (docs/pipeline.md)\n\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("samples", type=Path, metavar="SAMPLES", help="what `tokenreward sample` wrote")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help=".jsonl")
    parser.add_argument("--scorer", required=True, help="what is better: see below")
    parser.add_argument(
        "--extra", type=Path, metavar="FILE", help="responses of a stronger model, one more to choose from"
    )
    parser.add_argument("--model", help="the policy; only needed for --extra without token ids")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_options(parser, Ranking)
    arguments = parser.parse_args(argv)
    ranking = section_of(Ranking, arguments)
    from tokenreward_trainer.ranking.rank_file import rank_file, scores_path

    done = rank_file(
        arguments.samples,
        arguments.out,
        arguments.scorer,
        ranking,
        extra=arguments.extra,
        model=arguments.model,
        progress=not arguments.quiet,
    )
    said = "was ranked already" if done.already else "ranked"
    print(f"{done.path} {said}: {done.counts.rows} pairs; all scores: {scores_path(done.path)}")
    for name, count in done.counts.tally.items():
        print(f"  {count} x {name}")
    return 0
