"""The command line: a table of commands, each imported when it is called, so that help is instant.

A command is a function `(argv: list[str]) -> int` anywhere in the distribution, whose result is the exit code. This
module turns exceptions into messages and exit codes: 1 for an error that the user can mend, 2 for wrong usage, and 130
for Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

Command = Callable[[list[str]], int]

#: Name -> (where the command is, what it does in one line).
COMMANDS = {
    "demo": ("tokenreward.commands.demo:main", "the whole way once: serve, label a dozen responses, show them"),
    "serve": ("tokenreward_service.cli:serve", "run the service; without --redis-url everything it needs beside it"),
    "worker": ("tokenreward_workers.cli:worker", "run one worker with one engine against a service's Redis"),
    "label": ("tokenreward.commands.label:main", "label a file of responses or preference pairs"),
    "render": ("tokenreward_workers.tools.render:render", "show what a model reads of a file's rows, token by token"),
    "show": ("tokenreward.commands.show:main", "show a labeled file as a heat map, in the terminal or as a page"),
    "jobs": ("tokenreward.commands.jobs:main", "list, show, watch, cancel or retry jobs"),
    "inspect": ("tokenreward.commands.inspect:main", "print a labeled file's statistics and draw them"),
    "audit": ("tokenreward.commands.audit:main", "measure whether labels point at what is wrong"),
    "audit-set": (
        "tokenreward.commands.audit_set:main",
        "turn other people's marked errors into a set of an audit",
    ),
    "prompts": ("tokenreward_trainer.prompts.cli:prompts", "make prompts by rule, with answers that can be checked"),
    "sample": ("tokenreward_trainer.sampling.cli:sample", "sample responses to prompts, with their token ids"),
    "rank": ("tokenreward_trainer.ranking.cli:rank", "make pairs of the best and the worst of sampled responses"),
    "run": ("tokenreward_trainer.pipeline.cli:run", "the loop: sample, rank, label, train, report, resumable"),
    "train": ("tokenreward_trainer.cli:train", "train a policy on labeled preferences"),
    "rto": ("tokenreward_trainer.rto.cli:rto", "train a policy by PPO with a reward for every token"),
    "train-labeler": (
        "tokenreward_trainer.labeler.cli:train_labeler",
        "train a model that labels: a token classifier, or a corrector",
    ),
    "merge": ("tokenreward_trainer.merging.cli:merge", "put a run's adapter into its base model's weights"),
    "evaluate": (
        "tokenreward_trainer.evaluation.cli:evaluate",
        "compare checkpoints on the same prompts, with intervals",
    ),
    "keys": ("tokenreward_service.api_keys.cli:keys", "create, list and revoke API keys"),
    "completion": ("tokenreward.completion:main", "print a script for your shell that completes all this"),
}

#: Package -> the extra that installs what it needs.
_EXTRAS = {"tokenreward_service": "service", "tokenreward_workers": "worker", "tokenreward_trainer": "trainer"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tokenreward`.

    Args:
        argv: The arguments. None means those of the process.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_help())
        return 0 if arguments else 2
    if arguments[0] in {"-V", "--version"}:
        import tokenreward

        print(f"tokenreward {tokenreward.__version__}")
        return 0
    if arguments[0] not in COMMANDS:
        from tokenreward.arguments import did_you_mean

        meant = did_you_mean(arguments[0], COMMANDS)
        print(f"tokenreward: no command {arguments[0]!r}{meant}\n\n{_help()}", file=sys.stderr)
        return 2
    return _call(arguments[0], arguments[1:])


def _call(name: str, argv: list[str]) -> int:
    from tokenreward.errors import TokenRewardError

    try:
        return _load(name)(argv)
    except ModuleNotFoundError as error:  # commands import what is heavy when they run
        lacking = _lacking(COMMANDS[name][0].partition(".")[0], error)
        if lacking is error:
            raise
        print(f"tokenreward {name}: {lacking}", file=sys.stderr)
        return 1
    except TokenRewardError as error:
        print(f"tokenreward {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `tokenreward show ... | head`
        sys.stderr.close()
        return 141
    except OSError as error:  # a full disk, a directory that may not be written
        print(f"tokenreward {name}: {error}", file=sys.stderr)
        return 1


def _load(name: str) -> Command:
    where = COMMANDS[name][0]
    module, _, function = where.partition(":")
    try:
        command: Command = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        raise _lacking(module.partition(".")[0], error) from None
    return command


def _lacking(package: str, error: ModuleNotFoundError) -> Exception:
    """Return what is said of a module that is not installed, or the error itself if no extra brings it."""
    from tokenreward.extras import missing

    name = error.name or ""
    if package not in _EXTRAS or name.partition(".")[0].startswith("tokenreward"):
        return error
    return missing(_EXTRAS[package], "this command", name)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: tokenreward COMMAND ...",
            "",
            "One reward for every token of a response.",
            "",
            *lines,
            "",
            "tokenreward COMMAND --help says more. TOKENREWARD_URL and TOKENREWARD_API_KEY say where the service is.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
