"""The finished labeled file: its identifying plan, the check whether it stands there already, and its writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset.bad_rows import rejected_path
from tokenreward.dataset.base import Sink
from tokenreward.dataset.chunks import Survey
from tokenreward.dataset.formats import read_meta
from tokenreward.dataset.resume import RunState, differing
from tokenreward.dataset.row_layout import Layout
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.errors import BadInput
from tokenreward.schema import Provenance


@dataclass(frozen=True)
class Labeled:
    """A finished labeled file.

    Attributes:
        path: Where it stands.
        rows: How many rows it has.
        responses: How many responses they hold.
        tokens: How many tokens these have.
        failed: Responses without rewards. Their rows have nulls and an error.
        reasons: How often each of the most frequent errors occurred, by message.
        provenance: Where the rewards came from.
        already: Whether the file stood there before, so that nothing was done.
        rejected: Rows of the input that could not be labeled, and were left out.
    """

    path: Path
    rows: int
    responses: int
    tokens: int
    failed: int
    reasons: dict[str, int]
    provenance: Provenance
    already: bool = False
    rejected: int = 0

    @property
    def rejected_path(self) -> Path:
        """Where the rows stand that were left out, if there are any."""
        return rejected_path(self.path)

    def dataset(self) -> Any:
        """Return the file as a `datasets.Dataset`."""
        import datasets

        if self.path.suffix == ".arrow":
            return datasets.Dataset.from_file(str(self.path))
        if self.path.suffix == ".parquet":
            return datasets.Dataset.from_parquet(str(self.path))
        return datasets.Dataset.from_json(str(self.path))


def labeling_plan(
    extent: Survey, model: str | None, scoring: ScoringOptions, rows_per_job: int, columns: Mapping[str, str]
) -> dict[str, Any]:
    """Return what identifies a labeling run: two runs with equal plans give the same file.

    Args:
        extent: The size and digest of the input.
        model: The model asked for.
        scoring: How the responses are scored.
        rows_per_job: The most rows in a job.
        columns: Columns that have other names in the labeled file.
    """
    about: dict[str, Any] = {"input": extent.digest, "input_items": extent.items, "rows": extent.rows, "model": model}
    if extent.content is not None:
        about["input_columns"] = extent.content
    renamed = {"columns": dict(columns)} if columns else {}
    return about | scoring.plan() | {"rows_per_job": rows_per_job} | renamed


def existing_labeled(out: Path, plan: dict[str, Any]) -> Labeled | None:
    """Return the labeled file at `out`, if it is the one that this plan would make.

    Returns:
        The file, or None if nothing stands there.

    Raises:
        BadInput: Something else stands there.
    """
    if not out.exists():
        return None
    meta = read_meta(out)
    if meta is None or "labels" not in meta:
        raise BadInput(f"{out} exists and is not a labeled file; nothing was overwritten. Give another --out")
    made = meta["labels"]["plan"]
    # `input` changes with the size of jobs. Plans of older versions have nothing else.
    instead = ["input"] if "input_items" in made else []
    different = differing(made, plan, ignored=["rows_per_job", "model", *instead])
    provenance = Provenance.model_validate(meta["provenance"], extra="ignore")
    asked = plan["model"]
    if asked is not None and asked not in {
        provenance.fingerprint.model,
        f"{provenance.fingerprint.model}@{provenance.fingerprint_digest}",
    }:
        different.append("model")
    if different:
        raise BadInput(
            f"{out} exists and was labeled otherwise ({', '.join(different)} differ); nothing was overwritten. "
            "Give another --out, or remove it"
        )
    counts = {key: meta["labels"][key] for key in ("rows", "responses", "tokens", "failed", "reasons")}
    return Labeled(out, **counts, provenance=provenance, already=True)


def assemble(out: Path, sink: Sink, state: RunState, plan: dict[str, Any], layout: Layout) -> Labeled:
    """Write the finished file from the parts of a complete run, and remove the run's directory."""
    totals, provenance = state.totals(), state.provenance
    assert provenance is not None
    counts: dict[str, Any] = {
        "rows": totals.rows,
        "responses": totals.responses,
        "tokens": totals.tokens,
        "failed": totals.failed,
        "reasons": totals.reasons,
    }
    meta = {
        "provenance": provenance.model_dump(mode="json"),
        "labels": {"kind": layout.kind, "sides": layout.sides, "plan": plan, **counts},
    }
    sink.assemble([state.part(number) for number in sorted(state.done)], out, meta)
    state.remove()
    return Labeled(out, **counts, provenance=provenance)
