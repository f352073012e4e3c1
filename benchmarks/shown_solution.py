"""What a shown solution adds to the plain log-prob, and what averages over neighbouring tokens add.

    python benchmarks/shown_solution.py [--data DIR] [SERVING]

Audits the GSM8K responses of the development data for which there are other students' solutions under
shown_solution.toml, and prints log-probs averaged over neighbouring tokens. Other options go to `tokenreward serve`.
Writes build/shown_solution.json.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

from benchmarks._gsm8k_contexts import write_set
from benchmarks._report import ROOT, table, write
from benchmarks._smoothed import smoothed
from tokenreward import Client, cli
from tokenreward.audit.set_files import load
from tokenreward.audit.sets import SpanSet
from tokenreward.embedded_service import embedded_service
from tokenreward.schema import Template

_SHOWN = ROOT / "benchmarks" / "shown_solution.toml"
_OUT = ROOT / "build" / "shown_solution"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    arguments, serving = parser.parse_known_args()
    path = write_set(arguments.data, _OUT)
    if path is None:
        parser.error(f"{arguments.data} has no spans_gsm8k_injected.jsonl and pairs_gsm8k_solutions.jsonl")
    with embedded_service(serving) as url:
        cli.main(["audit", str(path), "--templates", f"plain,evidence,{_SHOWN}", "--url", url, "--out", str(_OUT)])
        found = load(path)
        assert isinstance(found, SpanSet)
        with Client(url) as client:
            figures = smoothed(client, found, Template(**tomllib.loads(_SHOWN.read_text("utf-8"))))
    table("log-probs: AUROC / stratified", [(name, f"{a:.3f} / {b:.3f}") for name, (a, b) in figures.items()])
    print(f"figures in {write('shown_solution', {'smoothed': figures})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
