"""The audit as one HTML page."""

from __future__ import annotations

from tokenreward.audit.study import AuditReport


def page(report: AuditReport) -> str:
    raise NotImplementedError
