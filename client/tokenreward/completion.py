"""`tokenreward completion SHELL`: a script that completes commands, their options and file names in a shell.

The script is made once and asks nobody afterwards. Options are read from each command's own help.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex

from tokenreward.arguments import Parser
from tokenreward.cli import COMMANDS
from tokenreward.cli import main as run

_EPILOG = 'bash: eval "$(tokenreward completion bash)"; zsh: the same; fish: tokenreward completion fish | source'
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="tokenreward completion",
        description="Print a script that completes commands, options and file names.",
        epilog=_EPILOG,
    )
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])
    shell = parser.parse_args(argv).shell
    options = {name: _options(name) for name in COMMANDS}
    print(_fish(options) if shell == "fish" else _bash(options, zsh=shell == "zsh"))
    return 0


def _options(command: str) -> list[str]:
    """Return the options of a command, and what of it is an action."""
    said = _help(command, [])
    actions = re.search(r"^positional arguments:\n  ACTION\n((?:    .*\n)+)", said, re.MULTILINE)
    names = re.findall(r"^    (\w+)", actions[1], re.MULTILINE) if actions else []
    for action in names:
        said += _help(command, [action])
    return [*names, *sorted(set(_OPTION.findall(said)))]


def _help(command: str, action: list[str]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        run([command, *action, "--help"])
    return said.getvalue()


def _bash(options: dict[str, list[str]], *, zsh: bool) -> str:
    cases = [f"    {name}) words={shlex.quote(' '.join(words))} ;;" for name, words in options.items()]
    return "\n".join(
        [
            *(["autoload -U +X bashcompinit && bashcompinit"] if zsh else []),
            "_tokenreward() {",
            '  local here="${COMP_WORDS[COMP_CWORD]}" words=',
            f'  if [ "$COMP_CWORD" = 1 ]; then words={shlex.quote(" ".join(options))}; else',
            '  case "${COMP_WORDS[1]}" in',
            *cases,
            "  esac; fi",
            '  COMPREPLY=($(compgen -W "$words" -- "$here"))',
            '  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$here"))',
            "}",
            "complete -o filenames -F _tokenreward tokenreward",
        ]
    )


def _fish(options: dict[str, list[str]]) -> str:
    lines = [
        f"complete -c tokenreward -n __fish_use_subcommand -f -a {name} -d {shlex.quote(COMMANDS[name][1])}"
        for name in options
    ]
    for name, words in options.items():
        seen = f"'__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c tokenreward -n {seen} -l {word[2:]}" for word in words if word.startswith("--")]
        lines += [f"complete -c tokenreward -n {seen} -a {word}" for word in words if not word.startswith("--")]
    return "\n".join(lines)
