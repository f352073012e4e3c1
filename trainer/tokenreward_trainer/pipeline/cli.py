"""The command `tokenreward run RECIPE.toml [--section.key value ...]`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tokenreward.arguments import Parser
from tokenreward.cpu_share import share_cpus

if TYPE_CHECKING:
    from tokenreward_trainer.pipeline.recipe import Recipe

_EPILOG = """\
RECIPE is a TOML file, or the name of a shipped recipe (--list shows them). Any option can be given as
--section.key value, as in --model.name DIRECTORY --run.directory runs/first --sample.engine vllm.

Stages: prompts, sample, rank, label, train, report; with [sft] and [rto] these as well. A second run leaves alone what
has not changed. After a kill at any moment, the same command goes on where it stopped. See docs/pipeline.md.
"""


def run(argv: list[str]) -> int:
    """Runs `tokenreward run` with the arguments behind its name; returns the exit status."""
    parser = Parser(
        prog="tokenreward run",
        description="From prompts to a better model: sample, rank, label, train, report.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", nargs="?", metavar="RECIPE")
    parser.add_argument("--list", action="store_true", help="show the shipped recipes")
    parser.add_argument("--check", action="store_true", help="check the recipe, its files and its models, then stop")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    arguments, overrides = parser.parse_known_args(argv)
    from tokenreward_trainer.pipeline.recipe import shipped

    if arguments.list:
        for name, path in shipped().items():
            print(f"{name:28} {path.read_text('utf-8').splitlines()[0].removeprefix('#').strip()}")
        return 0
    if arguments.recipe is None:
        parser.error("which RECIPE?")
    share_cpus()
    if arguments.check:
        from tokenreward_trainer.planning.light_import import light_transformers

        with light_transformers():
            read = _read(arguments.recipe, overrides)
        _check(read)  # Outside of it: a scorer of the user's own may need what is left out there.
        print(f"{arguments.recipe}: fine")
        return 0
    recipe = _read(arguments.recipe, overrides)
    _check(recipe)
    from tokenreward_trainer.pipeline.run import run_recipe

    report = run_recipe(recipe, progress=not arguments.quiet)
    print(f"report: {report.absolute()}")
    return 0


def _read(name: str, overrides: list[str]) -> Recipe:
    from tokenreward_trainer.pipeline.recipe import read_recipe

    return read_recipe(name, overrides)


def _check(recipe: Recipe) -> None:
    from tokenreward_trainer.pipeline.checks import check_recipe

    check_recipe(recipe)
