"""An audit's figures as rows of a table: one for each set, label and figure, with its interval."""

from __future__ import annotations

from typing import Any

from tokenreward.audit.output.json_report import figures
from tokenreward.audit.report import AuditReport

#: Figures with an interval, of responses with known errors and of pairs.
_SPANS = (
    *("auroc", "same_place", "same_step", "same_task", "same_kind", "same_shown", "stratified"),
    *("gain_over_surprisal", "per_response", "average_precision", "drift_interval"),
)
_PAIRS = ("pairs", "pairs_by_sum", "pairs_length_controlled", "pairs_by_sum_length_controlled")


def parquet_rows(report: AuditReport) -> list[dict[str, Any]]:
    """Return the rows: `kind`, `set`, `label`, `figure`, `value`, `low`, `high`."""
    found = figures(report)
    return [
        {
            "kind": "spans" if figure in _SPANS else "pairs",
            "set": name,
            "label": label,
            "figure": figure.removesuffix("_interval"),
            "value": value,
            "low": low,
            "high": high,
        }
        for figure in (*_SPANS, *_PAIRS)
        for name, by_label in found[figure].items()
        for label, (value, low, high) in by_label.items()
    ]
