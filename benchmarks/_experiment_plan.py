"""What benchmarks/experiment.py compares: experiment.toml, read and checked, and its small version for a smoke test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from tokenreward.dataset.atomic import replace
from tokenreward.schema import digest
from tokenreward_trainer.config_file import Positive, Section, content_of

PLAN = Path(__file__).with_name("experiment.toml")
SURPRISAL = "surprisal"


class Prompts(Section):
    """sets: families and levels in equal shares.  train: prompts of one seed.  test: common to all."""

    sets: list[str]
    train: Positive
    test: Positive


class Labels(Section):
    """One kind of labels.

    Attributes:
        template: None is the estimator's own.
        estimator: A shipped estimator's name.
        contexts: Where the template's context fields come from; see `label_dataset`.
        labeler: A kind of trained labeler that makes the labels; None is the model of the experiment.
        partial: Not every response can have these labels. One that cannot has rewards of 0, so that all rows train on
            the same pairs.
    """

    template: str | None = None
    estimator: str
    contexts: dict[str, str] = Field(default_factory=dict)
    labeler: Literal["classifier", "corrector"] | None = None
    partial: bool = False


class Audit(Section):
    sets: list[str]


class Row(Section):
    """One method.

    Attributes:
        labels: See experiment.toml; None trains without.
        train: Options of `tokenreward train` beside the common ones.
        rto: Sections of `tokenreward rto`, for a row that is trained by it; the policy of the row `labels` makes its
            dense rewards.
    """

    labels: str | None = None
    train: dict[str, Any] = Field(default_factory=dict)
    rto: dict[str, Any] = Field(default_factory=dict)

    @property
    def trained(self) -> bool:
        """Whether anything is trained; the start is not."""
        return bool(self.train or self.rto)


class Plan(Section):
    """The whole file.

    Attributes:
        labeler_edits: From how many edits by rule a trained labeler learns.
        contrast: Who computes the labels of a row's policy against the start; both give the same.
    """

    model: str
    seeds: Annotated[list[int], Field(min_length=1)]
    prompts: Prompts
    sample: dict[str, Any]
    rank: dict[str, Any]
    labels: dict[str, Labels]
    labeler_edits: Positive
    audit: Audit
    data: dict[str, Any]
    train: dict[str, Any]
    rows: dict[str, Row]
    contrast: Literal["trainer", "service"] = "trainer"

    def narrowed(self, rows: list[str] | None, seeds: list[int] | None) -> Plan:
        """Only these rows, the rows whose policies label them, and these seeds."""
        unknown = sorted(set(rows or ()) - set(self.rows))
        if unknown:
            raise SystemExit(f"no row {', '.join(unknown)}; known: {', '.join(self.rows)}")
        wanted = set(self.rows if rows is None else rows)
        wanted |= {row.labels for name, row in self.rows.items() if name in wanted and row.labels in self.rows}
        kept = {name: row for name, row in self.rows.items() if name in wanted}
        return self.model_copy(update={"rows": kept, "seeds": self.seeds if seeds is None else seeds})

    @property
    def identity(self) -> str:
        """What every run shares; results of another identity are not comparable. Other kinds of labels change none."""
        return digest(self.model_dump(exclude={"rows", "seeds", "contrast", "labels", "labeler_edits"}))

    def identity_of_labels(self, row: Row) -> str | None:
        """Identifies the kind of labels that a row trains with; None if it has none of the plan's kinds."""
        if row.labels not in self.labels:
            return None
        return digest(self._kind(self.labels[row.labels]))

    def to_train(self, runs: Iterable[Run]) -> Plan:
        """What these runs read: their seeds, and their kinds of labels beside the first, which every run reads."""
        kinds = {next(iter(self.labels)), *(run.row.labels for run in runs)}
        labels = {name: kind for name, kind in self.labels.items() if name in kinds}
        return self.model_copy(update={"labels": labels, "seeds": sorted({run.seed for run in runs})})

    def parts(self) -> dict[str, str]:
        """Identities of what a folder may hold from an earlier call, by name."""
        found = {"what all rows share": self.identity}
        found |= {f"labels.{name}": digest(self._kind(kind)) for name, kind in self.labels.items()}
        return found | {f"rows.{name}": digest(row.model_dump()) for name, row in self.rows.items()}

    def _kind(self, kind: Labels) -> dict[str, Any]:
        return kind.model_dump() | ({"edits": self.labeler_edits} if kind.labeler else {})

    def recalled(self, results: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The runs of a results file that are runs of this plan, too."""
        rows = {name: Row.model_validate(row) for name, row in results["plan"]["rows"].items()}

        def ours(run: Mapping[str, Any]) -> bool:
            row = self.rows.get(run["row"])
            if row is None or row != rows[run["row"]] or run["seed"] not in self.seeds:
                return False
            return (run["plan"], run["labels"]) == (self.identity, self.identity_of_labels(row))

        return [run for run in results["runs"] if ours(run)]


@dataclass(frozen=True)
class Run:
    """One training: a row with one seed."""

    name: str
    row: Row
    seed: int


def claim(plan: Plan, out: Path) -> None:
    """Takes a folder for a plan, and refuses one that holds anything which other settings have made."""
    path, mine = out / "plan.json", plan.parts()
    held = json.loads(path.read_bytes()) if path.exists() else {}
    other = [name for name, identity in mine.items() if held.get(name, identity) != identity]
    if other:
        raise SystemExit(f"{out} was made with other settings ({', '.join(other)}): name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    with replace(path) as file:
        file.write(json.dumps(held | mine, indent=1).encode())


def read_plan(overrides: list[str]) -> Plan:
    """experiment.toml with `--section.key value` options."""
    return Plan.model_validate(content_of(str(PLAN), {}, overrides))


def smoke(plan: Plan) -> Plan:
    """Two methods, one seed, tiny: everything runs, and nothing is learned from it."""
    changes = {
        "prompts": plan.prompts.model_copy(update={"train": 24, "test": 12}),
        "audit": plan.audit.model_copy(update={"sets": plan.audit.sets[-1:]}),
        "sample": plan.sample | {"max_tokens": 48},
        "labels": dict(list(plan.labels.items())[:1]),
    }
    return plan.model_copy(update=changes).narrowed(["start", "dpo", "dpo-reg"], plan.seeds[:1])
