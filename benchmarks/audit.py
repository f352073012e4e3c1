"""`make audit`: do the shipped labels point at what is wrong? With the demo model, on the built-in sets.

    python benchmarks/audit.py [--data DIR | --builtin-only] [--limit N] [--templates a,b] [--estimators a,b] [SERVING]

Starts the service, audits, and prints the tables; then does the same with the spans_*.jsonl and pairs_*.jsonl of a
directory of development data, if there is one (default: ../shared/data). Other options go to `tokenreward serve`.
Writes build/audit.json, and a page each in build/audit.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._report import ROOT, write
from tokenreward import cli
from tokenreward.commands.audit import SOME_FAILED
from tokenreward.embedded_service import embedded_service

_DATA = ROOT.parent / "shared" / "data"
#: Figures that are {set: {label: [value, low, high]}}.
_BY_SET = ("auroc", "stratified", "gain_over_surprisal", "per_response", "average_precision")
_BY_PAIRS = ("pairs", "pairs_by_sum", "pairs_length_controlled", "pairs_by_sum_length_controlled")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, default=_DATA, help="a directory with spans_*.jsonl and pairs_*.jsonl")
    where.add_argument("--builtin-only", action="store_true")
    parser.add_argument("--limit", metavar="N", help="at most N rows of every set")
    parser.add_argument("--templates", metavar="NAMES")
    parser.add_argument("--estimators", metavar="NAMES")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "audit")
    arguments, serving = parser.parse_known_args()
    files = (
        [] if arguments.builtin_only else [str(p) for kind in ("spans", "pairs") for p in _found(arguments.data, kind)]
    )
    chosen = [
        part
        for name in ("limit", "templates", "estimators")
        if (value := getattr(arguments, name)) is not None
        for part in (f"--{name}", value)
    ]
    figures: dict[str, Any] = {}
    with embedded_service(serving) as url:
        for name, sources in (("builtin", ["--builtin"]), ("data", files)):
            if not sources:
                continue
            started, out = time.monotonic(), arguments.out / name
            status = cli.main(["audit", *sources, *chosen, "--out", str(out), "--url", url])
            if status not in (0, SOME_FAILED):
                return status
            found = json.loads((out / "audit.json").read_text("utf-8"))["figures"]
            _merge(figures, found, name)
            figures[f"{name}_seconds"] = round(time.monotonic() - started, 1)
    print(f"figures in {write('audit', figures)}")
    return 0


def _found(folder: Path, kind: str) -> Sequence[Path]:
    return sorted(folder.glob(f"{kind}_*.jsonl"))


def _merge(figures: dict[str, Any], found: dict[str, Any], name: str) -> None:
    """`overall` is of the built-in sets; of the data it is `overall_data`, as they are other sets."""
    for key in (*_BY_SET, *_BY_PAIRS):
        named = {("overall_data" if one == "overall" and name == "data" else one): by for one, by in found[key].items()}
        figures.setdefault(key, {}).update(named)
    for key in ("verdicts", "pair_verdicts"):
        figures.setdefault(key, {})[name] = found[key]
    for key in ("responses", "tokens", "failed"):
        figures[f"{name}_{key}"] = found[key]


if __name__ == "__main__":
    sys.exit(main())
