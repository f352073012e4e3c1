"""What the experiment's runs read: prompts, sampled responses, pairs, and the labels of every kind. All resumable.

OUT/test.jsonl, OUT/audit.jsonl     common to all: test prompts, built-in errors with their clean twins, and its labels
OUT/data/SEED/                      prompts, samples, pairs, and the pairs labeled in every way
OUT/labelers/KIND/                  trained labelers
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks._experiment_plan import Labels, Plan
from benchmarks.harness.stack import Stack
from tokenreward import cli
from tokenreward.audit import builtin
from tokenreward.dataset import label_dataset
from tokenreward.dataset.atomic import replace
from tokenreward.dataset.jsonl import json_line
from tokenreward.dataset.meta import meta_path
from tokenreward.embedded_service import embedded_service
from tokenreward_trainer.prompts import parts_of, prompt_rows
from tokenreward_trainer.ranking.pair_selection import Ranking
from tokenreward_trainer.ranking.rank_file import rank_file
from tokenreward_trainer.resumable.segments import read_rows
from tokenreward_trainer.sampling.sample_file import sample_file
from tokenreward_trainer.sampling.settings import Sampling

#: Of the test prompts; training prompts are made with the seeds of the plan, and never the same.
_TEST_SEED = 1000
#: More are made than are used, as those of the test are left out.
_SPARE = 3


def prepare(plan: Plan, model: str, out: Path) -> None:
    """Everything that training reads, for all seeds of the plan."""
    out.mkdir(parents=True, exist_ok=True)
    test = prompt_rows(parts_of(plan.prompts.sets), plan.prompts.test, _TEST_SEED)
    _write(out / "test.jsonl", test)
    _write(out / "audit.jsonl", _twins(plan))
    taken = {row["prompt"] for row in test}
    unlabeled = [(out / "audit.jsonl", out / "audit-labeled.jsonl", next(iter(plan.labels)))]
    for seed in plan.seeds:
        folder = out / "data" / str(seed)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "prompts.jsonl", _training_prompts(plan, seed, taken))
        settings = Sampling(**plan.sample, seed=seed, segment=plan.prompts.train)
        sample_file(folder / "prompts.jsonl", folder / "samples.jsonl", model, settings, progress=True)
        rank_file(folder / "samples.jsonl", folder / "pairs.jsonl", "verify", Ranking(**plan.rank))
        unlabeled += [(folder / "pairs.jsonl", labeled_file(out, seed, kind), kind) for kind in plan.labels]
    _label(plan, model, out, unlabeled)


def labeled_file(out: Path, seed: int, kind: str) -> Path:
    return out / "data" / str(seed) / f"pairs-{kind}.jsonl"


def served_contrast(plan: Plan, model: str, out: Path, seed: int, row: str, strong: Path) -> Path:
    """The pairs of a seed with the labels of a row's policy against the start, by a service with a worker for each."""
    file = labeled_file(out, seed, f"{row}-against-start")
    if file.exists():
        return file
    with tempfile.TemporaryDirectory() as scratch, Stack(Path(scratch)) as stack:
        stack.start_api()
        for name, path in (("start", model), ("strong", str(strong))):
            settings = {"TOKENREWARD_MODEL": path, "TOKENREWARD_MODEL_NAME": name, "TOKENREWARD_DTYPE": "float32"}
            stack.start_worker(engine="transformers", **settings)
        stack.wait_ready(2)
        found = file.with_name(f"found-{file.name}")
        done = label_dataset(
            out / "data" / str(seed) / "pairs.jsonl",
            found,
            model="start",
            template="strong-weak",
            models={"policy": "strong"},
            tokens=True,
            url=stack.url,
            progress=True,
        )
    if done.failed:
        raise SystemExit(f"{file}: {done.failed} responses could not be labeled: {done.reasons}")
    _publish(found, file, read_rows(found))
    return file


def _training_prompts(plan: Plan, seed: int, taken: set[str]) -> list[dict[str, Any]]:
    """The sets in equal shares, without the test's prompts."""
    parts = parts_of(plan.prompts.sets)
    share = plan.prompts.train // len(parts)
    found: Counter[tuple[str, int]] = Counter()
    rows = []
    for row in prompt_rows(parts, _SPARE * plan.prompts.train, seed):
        kind = (row["family"], row["level"])
        if row["prompt"] not in taken and found[kind] < share:
            found[kind] += 1
            # What labels with a reference solution are shown, where the task has one.
            solution = {"reference": f"The answer is {row['check']['answer']}."} if "answer" in row["check"] else {}
            rows.append(row | solution)
    if any(found[part.family, part.level] < share for part in parts):
        raise SystemExit(f"too few prompts that are not in the test: {dict(found)}, and {share} of each are wanted")
    return rows


def _twins(plan: Plan) -> list[dict[str, Any]]:
    """Built-in errors as pairs; `bad_spans` are characters of the rejected response."""
    return [
        {"id": t.id, "prompt": t.prompt, "chosen": t.clean, "rejected": t.corrupted, "bad_spans": t.bad}
        for name in plan.audit.sets
        for t in builtin.twins(name)
    ]


def _label(plan: Plan, model: str, out: Path, files: list[tuple[Path, Path, str]]) -> None:
    """(input, output, kind of labels): each model labels what is left for it, through one service."""
    for labeler in dict.fromkeys([None, *(labels.labeler for labels in plan.labels.values())]):
        waiting = [f for f in files if plan.labels[f[2]].labeler == labeler and not f[1].exists()]
        if not waiting:
            continue
        serving = ["--model", model, "--engine", plan.sample["engine"]]
        if labeler is not None:
            serving = ["--model", str(_trained_labeler(plan, model, out, labeler)), "--engine", "transformers"]
        with embedded_service(serving) as url:
            for pairs, labeled, kind in waiting:
                _label_file(plan.labels[kind], pairs, labeled, url)


def _label_file(labels: Labels, pairs: Path, labeled: Path, url: str) -> None:
    """One kind of labels of one file; a response that has none gets zeros if the kind is partial."""
    found = labeled.with_name(f"found-{labeled.name}")
    done = label_dataset(
        pairs,
        found,
        template=labels.template,
        estimator=labels.estimator,
        contexts=labels.contexts,
        tokens=True,
        url=url,
        progress=True,
    )
    if done.failed and not labels.partial:
        raise SystemExit(f"{labeled}: {done.failed} responses could not be labeled: {done.reasons}")
    print(f"{labeled}: {done.failed} responses without such labels", flush=True)
    _publish(found, labeled, [_with_zeros(row) for row in read_rows(found)])


def _publish(found: Path, labeled: Path, rows: list[dict[str, Any]]) -> None:
    """Only a file whose labels are taken stands under the name that training reads, and that is not labeled again."""
    shutil.copyfile(meta_path(found), meta_path(labeled))
    _write(labeled, rows)


def _with_zeros(row: dict[str, Any]) -> dict[str, Any]:
    filled = dict(row)
    for side in ("chosen", "rejected"):
        if row[f"{side}_token_rewards"] is None:
            filled[f"{side}_token_rewards"] = [0.0] * len(row[f"{side}_token_ids"])
            filled[f"{side}_token_error"] = None  # else the trainer would leave the pair out
    return filled


def _trained_labeler(plan: Plan, model: str, out: Path, kind: str) -> Path:
    folder = out / "labelers" / kind
    if not (folder / "labeler.json").exists():
        options = ["--made", str(plan.labeler_edits), "--model", model, "--out", str(folder)]
        if (status := cli.main(["train-labeler", kind, *options])) != 0:
            raise SystemExit(status)
    return folder


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with replace(path) as file:
        file.writelines(map(json_line, rows))
