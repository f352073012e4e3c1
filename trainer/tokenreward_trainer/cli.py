"""The command `tokenreward train CONFIG.toml [--section.key value ...]`, which trains and writes the report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tokenreward.arguments import Parser
from tokenreward.cpu_share import share_cpus

if TYPE_CHECKING:
    from tokenreward_trainer.training.settings import Run

_EPILOG = """\
CONFIG is a TOML file, or the name of a shipped configuration (--list shows them). Any option can be given as
--section.key value, as in --model.name DIRECTORY --train.reg_alpha 0.25 --train.learning_rate 5e-7.

Several GPUs: accelerate launch -m tokenreward_trainer.cli CONFIG.toml ...
(several processes on CPUs: torchrun --nproc_per_node 2 -m tokenreward_trainer.cli ... --train.ddp_backend gloo)
Stopped? --train.resume_from_checkpoint true goes on from the last checkpoint in train.output_dir.
"""


def train(argv: list[str]) -> int:
    """Runs `tokenreward train`.

    Args:
        argv: The arguments behind the command's name.

    Returns:
        The exit status.

    Raises:
        TokenRewardError: Anything that the user can mend; the caller shows it.
    """
    parser = Parser(
        prog="tokenreward train",
        description="Train a policy on labeled preference pairs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", nargs="?", metavar="CONFIG")
    parser.add_argument("--list", action="store_true", help="show the shipped configurations")
    parser.add_argument(
        "--check",
        action="store_true",
        help="say what the run needs (memory of a card, steps, tokens) and what would be refused, then stop",
    )
    arguments, overrides = parser.parse_known_args(argv)
    from tokenreward_trainer.planning.light_import import light_transformers
    from tokenreward_trainer.training.settings import read_run, shipped

    if arguments.list:
        for name, path in shipped().items():
            print(f"{name:28} {path.read_text('utf-8').splitlines()[0].removeprefix('#').strip()}")
        return 0
    if arguments.config is None:
        parser.error("which CONFIG?")
    share_cpus()
    if arguments.check:
        with light_transformers():
            return _check(arguments.config, read_run(arguments.config, overrides))
    run = read_run(arguments.config, overrides)
    from tokenreward_trainer.training.run import train_run
    from tokenreward_trainer.training.trainings import arguments_of

    options = arguments_of(run)
    records = train_run(run, options)
    if options.process_index == 0:
        from tokenreward_trainer.report.training_report import write_report

        report = Path(options.output_dir) / "report.html"
        write_report(report, records)
        print(f"report: {report.absolute()}")
    return 0


def _check(config: str, run: Run) -> int:
    from tokenreward.errors import BadInput
    from tokenreward_trainer.planning.check import plan_of
    from tokenreward_trainer.planning.words import in_words

    plan = plan_of(run)
    print(in_words(config, plan, run.hardware))
    if plan.refusals:
        raise BadInput("would be refused here:\n" + "\n".join(f"  {refusal}" for refusal in plan.refusals))
    print(f"{config}: fine")
    return 0


if __name__ == "__main__":
    import sys

    from tokenreward.errors import TokenRewardError

    try:
        sys.exit(train(sys.argv[1:]))
    except TokenRewardError as error:
        sys.exit(f"tokenreward train: {error}")
