"""The command `tokenreward merge RUN --out DIR`."""

from __future__ import annotations

from pathlib import Path

from tokenreward.arguments import Parser


def merge(argv: list[str]) -> int:
    """Runs `tokenreward merge`.

    Args:
        argv: The arguments behind the command's name.

    Returns:
        The exit status.

    Raises:
        TokenRewardError: Anything that the user can mend; the caller shows it.
    """
    parser = Parser(
        prog="tokenreward merge",
        description="Merge a run's adapter into its base model: a whole model that can be served, sampled from, "
        "evaluated and trained further.",
    )
    parser.add_argument("run", metavar="RUN", help="an adapter's directory, such as a run's train.output_dir")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a directory that is new or empty")
    parser.add_argument("--base", metavar="MODEL", help="the model below; default: the one that the adapter names")
    parser.add_argument("--dtype", default="auto", help="of the merged weights; default: the base's own")
    arguments = parser.parse_args(argv)
    from tokenreward_trainer.merging.merge import merge_adapter

    out = merge_adapter(arguments.run, arguments.out, base=arguments.base, dtype=arguments.dtype)
    print(f"merged: {out.absolute()}")
    return 0
