"""Does the regulariser help? Preference methods with and without token rewards, at a size that anyone can rerun.

    python benchmarks/experiment.py [--only dpo dpo-reg] [--seeds 0 1] [--section.key value ...]
    python benchmarks/experiment.py --contrast service      labels of two models from the service, not from the trainer
    python benchmarks/experiment.py --smoke          two methods, one seed, tiny: whether everything runs
    python benchmarks/experiment.py --detectable     the smallest effect that this size can find, without running
    python benchmarks/experiment.py --table          the tables of docs/experiment.md from the committed results

What is compared stands in experiment.toml. For every seed the model samples responses to its own prompts; a check
ranks them; best and worst are labeled by that model; every row trains on the same pairs; each policy answers the same
test prompts greedily, and the check says which answers are right. Killed at any moment, the same command goes on where
it stopped: what is finished stands in build/experiment or in the committed results, if they are of the same plan.
--commit adds each row that has all its seeds to results/experiment.json and to the document.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import _report
from benchmarks._experiment_data import prepare
from benchmarks._experiment_plan import Plan, Row, Run, claim, read_plan, smoke
from benchmarks._experiment_runs import do, finished, has_policy, recall, train
from benchmarks._experiment_table import Results, detectable, tables

RESULTS = Path(__file__).parent / "results" / "experiment.json"
DOCUMENT = _report.ROOT / "docs" / "experiment.md"
_TABLES = re.compile(r"(<!-- tables -->\n).*?(<!-- end of tables -->)", re.DOTALL)
#: Assumed, not measured: the share of prompts that one of two policies answers rightly and the other does not.
_CHANGED = 0.15
#: Rows whose first policy figure3.py draws; a policy that a finished run has left nothing of is trained once more.
_SHOWN = ("dpo", "dpo-reg")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="ROW", help="these rows")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="these seeds")
    parser.add_argument("--out", type=Path, default=_report.ROOT / "build" / "experiment")
    parser.add_argument("--contrast", choices=["trainer", "service"], default="trainer")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--detectable", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep all weights, 0.5 GB a run")
    parser.add_argument("--commit", action="store_true", help="write the results file and the document's tables")
    options, overrides = parser.parse_known_args()
    if options.smoke and options.commit:
        parser.error("--smoke measures nothing that could be committed")
    plan = read_plan(overrides).model_copy(update={"contrast": options.contrast})
    if options.detectable:
        best, worst = detectable(plan.prompts.test, len(plan.seeds), _CHANGED)
        print(f"{plan.prompts.test} prompts, {len(plan.seeds)} seeds: {best:.3f} to {worst:.3f} of accuracy")
        return 0
    if options.table:
        return _document(json.loads(RESULTS.read_bytes()))
    plan = smoke(plan) if options.smoke else plan.narrowed(options.only, options.seeds)
    out = options.out.with_name("experiment-smoke") if options.smoke else options.out
    started = time.monotonic()
    runs = _run(plan, out, options.keep)
    if options.commit:
        content: dict[str, Any] = {"command": _report.command(), "machine": _report.machine()}
        content |= {"commit": _report.commit()} | _merged(read_plan(overrides), runs)
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        _document(content)
    else:
        print(tables(plan.model_dump(), runs))
    results = Results.of(runs)
    figures: dict[str, Any] = {f"right_{row}": results.accuracy(row).triple() for row in results.right}
    figures["seconds"] = round(time.monotonic() - started, 1)
    print(_report.write("experiment-smoke" if options.smoke else "experiment", figures))
    return 0


def _run(plan: Plan, out: Path, keep: bool) -> list[dict[str, Any]]:
    """Every row with every seed."""
    from tokenreward_workers.model_files.resolve import resolve_model

    model = str(resolve_model(plan.model).path)
    claim(plan, out)
    recall(out, plan.recalled(json.loads(RESULTS.read_bytes())))
    runs = [Run(name, row, seed) for name, row in plan.rows.items() for seed in _seeds(plan, row)]
    known = [_known(plan, out, run) for run in runs]
    waiting = [run for run, result in zip(runs, known, strict=True) if result is None]
    needed = {(run.row.labels, run.seed) for run in waiting}
    kept = needed | {(name, plan.seeds[0]) for name in _SHOWN}
    again = [run for run in runs if run not in waiting and (run.name, run.seed) in kept and not has_policy(out, run)]
    if waiting:
        prepare(plan, model, out)
    elif again:
        prepare(plan.to_train(again), model, out)
    found = []
    for run, result in zip(runs, known, strict=True):
        if result is None:
            print(f"{run.name}, seed {run.seed}", flush=True)
            result = do(plan, model, out, run, keep or (run.name, run.seed) in kept)
        elif run in again:
            train(plan, model, out, run)
        right = result["right"]
        share = right.count("1") / len(right)
        print(f"{run.name}, seed {run.seed}: {share:.3f} right, {result['seconds']}", flush=True)
        found.append(result)
    return found


def _seeds(plan: Plan, row: Row) -> list[int]:
    return plan.seeds if row.trained else plan.seeds[:1]


def _known(plan: Plan, out: Path, run: Run) -> dict[str, Any] | None:
    """What a former call found of a run."""
    result = finished(out, run)
    expected = {"plan": plan.identity, "labels": plan.identity_of_labels(run.row)}
    if result is not None and any(result.get(name) != value for name, value in expected.items()):
        raise SystemExit(f"{out} holds results of another plan: name another folder with --out")
    return result


def _merged(plan: Plan, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The committed results with these runs: each row that has all its seeds, in the order of the plan."""
    found = {(run["row"], run["seed"]): run for run in [*plan.recalled(json.loads(RESULTS.read_bytes())), *runs]}
    whole = {name: row for name, row in plan.rows.items() if all((name, seed) in found for seed in _seeds(plan, row))}
    ordered = [found[name, seed] for name, row in whole.items() for seed in _seeds(plan, row)]
    return {"plan": plan.model_copy(update={"rows": whole}).model_dump(), "runs": ordered}


def _document(content: dict[str, Any]) -> int:
    """The tables of a results file, in the document and on the screen."""
    shown = tables(content["plan"], content["runs"])
    text = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(_TABLES.sub(lambda found: f"{found[1]}{shown}\n{found[2]}", text), "utf-8")
    print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
