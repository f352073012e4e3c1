"""`make audit`: do the shipped labels point at what is wrong? With the demo model, on the built-in sets.

    python benchmarks/audit.py [--data DIR] [--parts builtin,data,contexts] [--limit N] [--templates a,b]
        [--estimators a,b] [SERVING]

Starts the service, audits, and prints the tables; then does the same with the spans_*.jsonl and pairs_*.jsonl of a
directory of development data, if there is one (default: ../shared/data); then with the GSM8K responses of it for which
there are other students' solutions, and every label that reads context (`contexts`, see _gsm8k_contexts.py), among
them shown_solution.toml, once more with rewards pooled over words, and averages over neighbouring tokens. Other options
go to `tokenreward serve`. Writes build/audit.json, and a page each in build/audit.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._gsm8k_contexts import write_set
from benchmarks._report import ROOT, table, write
from benchmarks._smoothed import smoothed
from tokenreward import Client, cli, templates
from tokenreward.audit.set_files import load
from tokenreward.audit.sets import SpanSet, thinned
from tokenreward.commands.audit import SOME_FAILED
from tokenreward.embedded_service import embedded_service
from tokenreward.schema import Template

PARTS = ("builtin", "data", "contexts")
_SHOWN = ROOT / "benchmarks" / "shown_solution.toml"
_DATA = ROOT.parent / "shared" / "data"
#: Figures that are {set: {label: [value, low, high]}}.
_BY_SET = ("auroc", "stratified", "gain_over_surprisal", "per_response", "average_precision")
_BY_PAIRS = ("pairs", "pairs_by_sum", "pairs_length_controlled", "pairs_by_sum_length_controlled")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_DATA, help="a directory with spans_*.jsonl and pairs_*.jsonl")
    parser.add_argument("--parts", default=",".join(PARTS), help="which of builtin, data and contexts")
    parser.add_argument("--builtin-only", dest="parts", action="store_const", const="builtin")
    parser.add_argument("--limit", metavar="N", help="at most N rows of every set")
    parser.add_argument("--templates", metavar="NAMES")
    parser.add_argument("--estimators", metavar="NAMES")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "audit")
    arguments, serving = parser.parse_known_args()
    parts = arguments.parts.split(",")
    if unknown := [name for name in parts if name not in PARTS]:
        parser.error(f"unknown part {unknown[0]!r}; known: {', '.join(PARTS)}")
    files = [str(p) for kind in ("spans", "pairs") for p in _found(arguments.data, kind)]
    rich = write_set(arguments.data, arguments.out / "contexts")
    with_shown = ["--templates", ",".join([*templates.shipped(), str(_SHOWN)])]
    sources_of = {
        "builtin": ["--builtin"],
        "data": files,
        "contexts": [str(rich), *([] if arguments.templates else with_shown)] if rich else [],
    }
    chosen = [
        part
        for name in ("limit", "templates", "estimators")
        if (value := getattr(arguments, name)) is not None
        for part in (f"--{name}", value)
    ]
    figures: dict[str, Any] = {}
    with embedded_service(serving) as url:
        for name in parts:
            if not (sources := sources_of[name]):
                continue
            started, out = time.monotonic(), arguments.out / name
            asked = ["audit", *sources, *chosen, "--url", url]
            status = cli.main([*asked, "--out", str(out)])
            if status not in (0, SOME_FAILED):
                return status
            _merge(figures, _read(out / "audit.json"), name)
            if name == "contexts" and rich is not None:
                # Both are cheap, as the service has kept the log-probs.
                words = out / "words.json"
                cli.main([*asked, "--pool", "word", "--json", str(words)])
                figures["pooled"] = _read(words)["auroc"]
                figures["smoothed"] = _smoothed(url, rich, arguments.limit)
            figures[f"{name}_seconds"] = round(time.monotonic() - started, 1)
    print(f"figures in {write('audit', figures)}")
    return 0


def _smoothed(url: str, path: Path, limit: str | None) -> dict[str, list[float]]:
    """Print the averages of a set's log-probs over neighbouring tokens, and return them."""
    found = thinned(load(path), None if limit is None else int(limit))
    assert isinstance(found, SpanSet)
    with Client(url) as client:
        figures = smoothed(client, found, Template(**tomllib.loads(_SHOWN.read_text("utf-8"))))
    table("log-probs: AUROC / stratified", [(name, f"{a:.3f} / {b:.3f}") for name, (a, b) in figures.items()])
    return figures


def _found(folder: Path, kind: str) -> Sequence[Path]:
    return sorted(folder.glob(f"{kind}_*.jsonl"))


def _read(path: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(path.read_text("utf-8"))["figures"]
    return figures


def _merge(figures: dict[str, Any], found: dict[str, Any], name: str) -> None:
    """`overall` is of the built-in sets; of others it is `overall_data`, say."""
    overall = "overall" if name == "builtin" else f"overall_{name}"
    for key in (*_BY_SET, *_BY_PAIRS):
        named = {(overall if one == "overall" else one): by for one, by in found[key].items()}
        figures.setdefault(key, {}).update(named)
    for key in ("verdicts", "pair_verdicts"):
        figures.setdefault(key, {})[name] = found[key]
    for key in ("responses", "tokens", "failed"):
        figures[f"{name}_{key}"] = found[key]


if __name__ == "__main__":
    sys.exit(main())
