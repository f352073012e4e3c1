"""The verdicts of an audit as the service keeps them, for people who look at the same labels on its page."""

from __future__ import annotations

from tokenreward.audit.output.verdict_lines import overall_verdict
from tokenreward.audit.report import AuditReport
from tokenreward.schema import AuditVerdict


def kept_verdicts(report: AuditReport) -> list[AuditVerdict]:
    """Return the verdict on each label over all sets of responses with known errors."""
    return [
        AuditVerdict(
            fingerprint_digest=label.model.rpartition("@")[2] if label.model else report.fingerprint.digest,
            template=label.template.name,
            template_hash=label.template.hash,
            estimator=label.estimator.name,
            estimator_hash=label.estimator.hash,
            pool=None if label.pool is None else f"{label.pool}:{label.pool_by}",
            advice=found.advice.value,
            words=found.words,
            responses=report.responses,
        )
        for label in report.labels
        if (found := overall_verdict(report, label)) is not None
    ]
