"""`make labelers`: do trained labelers find more than the model that they were made of? With the demo model.

    python benchmarks/labelers.py [--made N] [--limit N] [--skip-training]

Trains a token classifier and a corrector on N edits by rule (none of them of the audit's material), and audits both
beside every untrained label on the built-in sets. --skip-training audits what the last run trained. Writes
build/labelers.json and, by `make audit`'s own program, build/labelers-audit.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from typing import Any

from benchmarks import audit
from benchmarks._report import ROOT, read, table, write
from tokenreward import cli
from tokenreward_workers.model_files.resolve import resolve_model

_OUT = ROOT / "build" / "labelers"
#: The name of the audit's figures; `make audit` has its own, from which the tables of the docs are.
_AUDIT = "labelers-audit"
#: How often each kind reads the edits. A corrector has learned such edits after half of the first time.
_EPOCHS = {"classifier": 2, "corrector": 1}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--made", type=int, default=600, metavar="N", help="edits to learn from (default: 600)")
    parser.add_argument("--limit", type=int, default=60, metavar="N", help="at most N responses of every set")
    parser.add_argument("--skip-training", action="store_true")
    arguments = parser.parse_args()
    if not arguments.skip_training:
        shutil.rmtree(_OUT, ignore_errors=True)
        for kind, epochs in _EPOCHS.items():
            options = ["--made", str(arguments.made), "--epochs", str(epochs)]
            options += ["--model", str(resolve_model().path), "--out", str(_OUT / kind)]
            if (status := cli.main(["train-labeler", kind, *options])) != 0:
                return status
    labelers = [part for kind in _EPOCHS for part in ("--labeler", str(_OUT / kind))]
    asked = ["--builtin-only", "--responses", str(arguments.limit), "--out", str(_OUT / "audit"), *labelers]
    if (status := audit.main(asked, _AUDIT)) != 0:
        return status
    figures = read(_AUDIT)
    best = _best(figures)
    table("trained against the best untrained label, AUROC", [(name, words) for name, words in best.items()])
    records = {kind: json.loads((_OUT / kind / "labeler.json").read_text("utf-8")) for kind in _EPOCHS}
    kept = {
        "audit": {name: figures[name] for name in ("auroc", "same_place", "pairs")},
        "seconds": {kind: record["seconds"] for kind, record in records.items()},
        "data_sha256": {kind: record["data_sha256"] for kind, record in records.items()},
        "edits": {kind: record["edits"] for kind, record in records.items()},
    }
    print(f"figures in {write('labelers', kept)}")
    return 0


def _best(figures: dict[str, Any]) -> dict[str, str]:
    """Return the AUROC of each labeler beside the untrained label that does best, by set."""
    found = {}
    for name, by_label in figures["auroc"].items():
        trained = {label: triple[0] for label, triple in by_label.items() if "@" in label}
        rest = {label: triple[0] for label, triple in by_label.items() if "@" not in label and label != "random"}
        best = max(rest, key=lambda label: rest[label] or 0)
        said = ", ".join(f"{label} {value:.3f}" for label, value in trained.items())
        found[name] = f"{said}; {best} {rest[best]:.3f}"
    return found


if __name__ == "__main__":
    sys.exit(main())
