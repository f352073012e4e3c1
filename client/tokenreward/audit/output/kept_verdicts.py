"""The verdicts of an audit as the service keeps them, for people who look at the same labels on its page."""

from __future__ import annotations

from tokenreward.audit.output.verdict_lines import overall_verdict, verdicts
from tokenreward.audit.plan import Label
from tokenreward.audit.report import OVERALL, AuditReport
from tokenreward.audit.verdict import Verdict
from tokenreward.schema import AuditVerdict

#: The most characters of `AuditVerdict.words`.
_MOST = 500


def kept_verdicts(report: AuditReport) -> list[AuditVerdict]:
    """Return the verdict on each label over all sets of responses with known errors.

    There is none on a label whose template names models: it would be found again for whatever has the name by then.
    """
    return [
        AuditVerdict(
            fingerprint_digest=label.model.rpartition("@")[2] if label.model else report.fingerprint.digest,
            template=label.template.name,
            template_hash=label.template.hash,
            estimator=label.estimator.name,
            estimator_hash=label.estimator.hash,
            pool=None if label.pool is None else f"{label.pool}:{label.pool_by}",
            advice=found.advice.value,
            words=_words(report, label, found),
            responses=report.responses,
        )
        for label in report.labels
        if not label.template.models and (found := overall_verdict(report, label)) is not None
    ]


def _words(report: AuditReport, label: Label, found: Verdict) -> str:
    """Return the verdict as the report says it, without the sets that a warning before it names if it is too long."""
    words = verdicts(report, label)[OVERALL]
    return words if len(words) <= _MOST else f"{words.partition(' (')[0]}; {found.words}"
