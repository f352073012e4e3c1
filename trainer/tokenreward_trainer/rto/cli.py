"""The command `tokenreward rto CONFIG.toml [--section.key value ...]`."""

from __future__ import annotations

import argparse

_EPILOG = """\
CONFIG is a TOML file; docs/training.md has one. Any option can be given as --section.key value, as in
--model.name DIRECTORY --rewards.dpo DIRECTORY --run.directory runs/rto.

After a kill, the same command goes on at the last checkpoint.
"""


def rto(argv: list[str]) -> int:
    """Runs `tokenreward rto` with the arguments behind its name; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="tokenreward rto",
        description="Train a policy by PPO with a reward for every token (RTO, arXiv 2404.18922).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("--check", action="store_true", help="check the configuration, then stop")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    arguments, overrides = parser.parse_known_args(argv)
    from tokenreward_trainer.rto.checks import check_rto
    from tokenreward_trainer.rto.settings import read_rto

    run = read_rto(arguments.config, overrides)
    check_rto(run)
    if arguments.check:
        print(f"{arguments.config}: fine")
        return 0
    from tokenreward_trainer.rto.run import run_rto

    report = run_rto(run, progress=not arguments.quiet)
    print(f"report: {report.absolute()}")
    return 0
