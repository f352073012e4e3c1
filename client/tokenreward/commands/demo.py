"""`tokenreward demo`: the whole way once. It serves, labels a dozen responses, shows them, and stops everything."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from tokenreward.arguments import Parser
from tokenreward.commands import label, show
from tokenreward.embedded_service import embedded_service
from tokenreward.extras import missing

#: Of what the demo needs, one module for each extra.
_NEEDED = ("fastapi", "torch")


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="tokenreward demo",
        description="Label a dozen responses with a small model on this machine and show which tokens it rewards.",
        epilog="Any other option goes to the service and its worker: see `tokenreward serve --help`.",
    )
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="directory for what comes out")
    arguments, serving = parser.parse_known_args(argv)
    for module in _NEEDED:
        if find_spec(module) is None:
            raise missing("demo", "the demo", module)
    started = time.monotonic()
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    labeled, page = folder / "labeled.jsonl", folder / "labeled.html"
    for stale in (labeled, labeled.with_name(labeled.name + ".meta.json")):
        stale.unlink(missing_ok=True)
    source = resources.files("tokenreward").joinpath("demo.jsonl")
    with resources.as_file(source) as items, embedded_service(serving) as url:
        status = label.main([str(items), "--out", str(labeled), "--tokens", "--url", url])
    if status == 0:
        print()
        show.main([str(labeled)])
        show.main([str(labeled), "--html", str(page)])
        print(f"\nThe same as a page: {page.absolute()}")
        print(f"Done in {time.monotonic() - started:.0f} s; the service is down again.")
        print(f"\nNext, with rows of your own: `{_ourselves()} serve` here, and in another terminal")
        print(f"  {_ourselves()} label YOURS.jsonl --out labeled.jsonl --dry-run")
    return status


def _ourselves() -> str:
    """Return how this command is called in a shell."""
    script = Path(sys.executable).with_name("tokenreward")
    return "tokenreward" if shutil.which("tokenreward") or not script.is_file() else shlex.quote(str(script))
