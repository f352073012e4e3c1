"""`make audit`: which labels point at what is wrong? With the demo model, every label that the data allow.

    python benchmarks/audit.py [--data DIR] [--builtin-only] [--all] [--responses N] [--templates a,b]
        [--estimators a,b] [--labeler DIR] [--table] [SERVING]

Starts the service and audits, at once, the built-in sets, the spans_*.jsonl and pairs_*.jsonl of a directory of
development data, if there is one (default: ../shared/data), and those GSM8K responses of it for which there are other
students' solutions, so that labels that read context can be measured (_gsm8k_contexts.py). Then it measures the same
log-probs again with rewards pooled over words and over steps. A set is cut to 60 responses, because what takes the time
is reading them under every branch of every template; --all leaves sets whole. What was scored is kept in
build/audit/scores: the same command goes on after an interruption.

--labeler DIR (repeatable) serves a trained labeler beside the demo model and audits its labels, too. --table prints the
last results as the tables of docs/label-quality.md and measures nothing. Other options go to `tokenreward serve`.
Writes build/audit.json, and the page build/audit/audit.html.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._audit_tables import markdown
from benchmarks._gsm8k_contexts import write_set
from benchmarks._report import ROOT, read, write
from benchmarks._served_labelers import serving_labelers
from tokenreward import cli
from tokenreward.commands.audit import SOME_FAILED

_DATA = ROOT.parent / "shared" / "data"
#: Responses of a set, unless --all is given.
_RESPONSES = 60
#: What rewards are pooled over besides, with fewer resamples, as the figures beside them have theirs.
_POOLS = {"pooled": "word", "pooled_steps": "step"}
_POOLED_RESAMPLES = "200"


def main(argv: list[str] | None = None, name: str = "audit") -> int:
    """Run the benchmark, and write its figures to build/<name>.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_DATA, help="a directory with spans_*.jsonl and pairs_*.jsonl")
    parser.add_argument("--builtin-only", action="store_true", help="leave the data out")
    parser.add_argument("--all", action="store_true", help="audit whole sets")
    parser.add_argument(
        "--responses", type=int, default=_RESPONSES, metavar="N", help="at most N responses of every set"
    )
    parser.add_argument("--templates", metavar="NAMES")
    parser.add_argument("--estimators", metavar="NAMES")
    parser.add_argument("--labeler", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--table", action="store_true", help="print the last results as the tables of the docs")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "audit")
    arguments, serving = parser.parse_known_args(argv)
    if arguments.table:
        print(markdown(read("audit")))
        return 0
    started = time.monotonic()
    asked = ["audit", "--builtin=", *([] if arguments.builtin_only else _files(arguments.data, arguments.out))]
    if not arguments.all:
        asked += ["--responses", str(arguments.responses)]
    for option in ("templates", "estimators"):
        if (value := getattr(arguments, option)) is not None:
            asked += [f"--{option}", value]
    with serving_labelers(arguments.labeler, serving) as (url, model):
        asked += ["--url", url, "--out", str(arguments.out), "--model", model]
        for path in arguments.labeler:
            asked += ["--labeler", path.resolve().name]
        status = cli.main([*asked, "--parquet", str(arguments.out / "audit.parquet")])
        if status not in (0, SOME_FAILED):
            return status
        figures = _read(arguments.out / "audit.json")
        for kind, pool in _POOLS.items():
            figures[kind] = _pooled(asked, arguments.out / f"{kind}.json", pool)
    figures["total_seconds"] = round(time.monotonic() - started, 1)
    print(f"figures in {write(name, figures)}")
    return 0


def _files(data: Path, out: Path) -> list[str]:
    """Return the sets of the data's folder, and the one with other students' solutions."""
    files = [path for kind in ("spans", "pairs") for path in sorted(data.glob(f"{kind}_*.jsonl"))]
    rich = write_set(data, out / "contexts")
    return [str(path) for path in [*files, *([rich] if rich else [])]]


def _pooled(asked: list[str], path: Path, pool: str) -> dict[str, Any]:
    """Measure pooled rewards, from the log-probs that are kept, and return their AUROC."""
    print(f"\npooled over each {pool}:", flush=True)
    options = ["--pool", pool, "--json", str(path), "--html", str(path.with_suffix(".html")), "--quiet"]
    cli.main([*asked, *options, "--resamples", _POOLED_RESAMPLES])
    found: dict[str, Any] = _read(path)["auroc"]
    return found


def _read(path: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(path.read_text("utf-8"))["figures"]
    return figures


if __name__ == "__main__":
    sys.exit(main())
