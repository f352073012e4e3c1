"""From the experiment's results to its tables: accuracies, paired differences, intervals, and where rewards point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._experiment_plan import SURPRISAL
from tokenreward.statistics.bootstrap import Interval, Resamples, Sampled

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Two-sided 5% and a power of 80%, in standard errors.
_DETECTABLE = 1.96 + 0.84


@dataclass(frozen=True)
class Results:
    """right: {row: [seeds, prompts] of 0 and 1}; the start has one line for all seeds.  runs: {row: its runs}."""

    right: Mapping[str, Floats]
    runs: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(cls, runs: Sequence[Mapping[str, Any]]) -> Results:
        rows: dict[str, list[Mapping[str, Any]]] = {}
        for run in runs:
            rows.setdefault(run["row"], []).append(run)
        right = {
            name: np.array([[int(c) for c in run["right"]] for run in found], float) for name, found in rows.items()
        }
        return cls(right, rows)

    def accuracy(self, row: str) -> Interval:
        return _resampled(self.right[row]).interval

    def gain(self, row: str, over: str) -> Interval:
        """Of the rows' accuracies, paired by prompt and seed."""
        return _resampled(self.right[row] - self.right[over]).interval

    def mean(self, row: str, *path: str) -> float:
        """Of a figure over the row's runs; NaN where it has none."""
        values = [_inside(run, path) for run in self.runs[row]]
        return float(np.mean(values))


def tables(plan: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> str:
    """Both tables in Markdown, of a plan as the results file has it."""
    results = Results.of(runs)
    labels = {name: row["labels"] for name, row in plan["rows"].items()}
    return "\n\n".join([_accuracies(results), _token_rewards(results, [*plan["labels"], SURPRISAL], labels)])


def _accuracies(results: Results) -> str:
    head = ("row", "right (95%)", "each seed", "gain over the start", "gain over DPO", "tokens", "held-out margin")
    lines = [head, ("---",) * len(head)]
    for row in results.right:
        each = ", ".join(f"{value:.3f}" for value in results.right[row].mean(axis=1))
        gains = [
            "" if base not in results.right or row in ("start", base) else _signed(results.gain(row, base))
            for base in ("start", "dpo")
        ]
        rest = (f"{results.mean(row, 'tokens'):.1f}", _number(results.mean(row, "margins"), 3))
        lines.append((row, _shown(results.accuracy(row)), each, *gains, *rest))
    return _markdown(lines)


def _token_rewards(results: Results, kinds: Sequence[str], labels: Mapping[str, str | None]) -> str:
    """The kinds of labels that every row was compared with have a column each; the row's own may be another."""
    trained = [row for row in results.right if not math.isnan(results.mean(row, "moved"))]
    common = [k for k in kinds if not any(math.isnan(results.mean(row, "agreement", k)) for row in trained)]
    named = ("own labels", *(f"`{kind}`" for kind in common))
    head = ("row", *(f"r with {name}" for name in named), "AUROC on known errors", "mean change", "seconds to train")
    lines = [head, ("---",) * len(head)]
    for row in trained:
        agreement = [_number(results.mean(row, "agreement", str(kind)), 2) for kind in (labels[row], *common)]
        rest = (("span_auroc", 3), ("moved", 3), ("train_runtime", 0))
        lines.append((row, *agreement, *(_number(results.mean(row, name), digits) for name, digits in rest)))
    return _markdown(lines)


def detectable(prompts: int, seeds: int, changed: float) -> tuple[float, float]:
    """The smallest difference of two accuracies that is found 4 times in 5 at the 5% level.

    changed: the share of prompts that one of two policies answers rightly and the other does not. The first figure
    holds if these prompts are others with every seed, the second if they are always the same.
    """
    best, worst = (_DETECTABLE * math.sqrt(changed / (prompts * s)) for s in (seeds, 1))
    return best, worst


def _resampled(values: Floats) -> Sampled:
    """The mean of [seeds, prompts], with both resampled: what other prompts and other seeds might have given."""
    seeds, prompts = values.shape
    by_prompt = Resamples("prompts", prompts).weights / prompts
    by_seed = Resamples("seeds", seeds).weights / seeds
    return Sampled(float(values.mean()), np.einsum("ds,sp,dp->d", by_seed, values, by_prompt, optimize=True))


def _inside(run: Mapping[str, Any], path: Sequence[str]) -> float:
    found: Any = run
    for key in path:
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, float | int) else float("nan")


def _shown(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _signed(found: Interval) -> str:
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
