"""The wire schema, version 1: what clients, the service and the workers say to each other.

Everything here is a frozen pydantic model with its shapes and units in the docstring. Nothing in this package does
work. `messages`, `items`, `templates` and `options` are what is sent; `jobs`, `results`, `provenance`, `model_info`,
`estimator_info` and `problems` are what comes back. Import the names from `tokenreward.schema` itself.
"""

from tokenreward.schema.adapters import ADAPTER_NAME, AdapterInfo, AdapterSource
from tokenreward.schema.audits import AuditVerdict, AuditVerdicts
from tokenreward.schema.candidates import MOST_CANDIDATES, TokenCandidates, TokenMoments
from tokenreward.schema.contexts import ContextValue
from tokenreward.schema.estimator_info import EstimatorInfo, ParameterInfo
from tokenreward.schema.hashing import digest
from tokenreward.schema.items import Item, Score
from tokenreward.schema.job_state import TERMINAL, JobState
from tokenreward.schema.jobs import Job, LabelResponse, Waiting
from tokenreward.schema.messages import Message, Prompt, TextPart
from tokenreward.schema.model_info import ModelInfo
from tokenreward.schema.options import TOP_K, Include, JobOptions, JobRequest, Pool, PoolBy
from tokenreward.schema.origin import Origin
from tokenreward.schema.problems import PointedError, Problem
from tokenreward.schema.provenance import SCORING_VERSION, Fingerprint, ModelUse, Provenance
from tokenreward.schema.results import ItemFailure, ItemResult, ResultsEnd, Segment
from tokenreward.schema.templates import Branch, ContextField, Rendered, RenderedBranch, RenderRequest, Template

__all__ = [
    "ADAPTER_NAME",
    "MOST_CANDIDATES",
    "SCORING_VERSION",
    "TERMINAL",
    "TOP_K",
    "AdapterInfo",
    "AdapterSource",
    "AuditVerdict",
    "AuditVerdicts",
    "Branch",
    "ContextField",
    "ContextValue",
    "EstimatorInfo",
    "Fingerprint",
    "Include",
    "Item",
    "ItemFailure",
    "ItemResult",
    "Job",
    "JobOptions",
    "JobRequest",
    "JobState",
    "LabelResponse",
    "Message",
    "ModelInfo",
    "ModelUse",
    "Origin",
    "ParameterInfo",
    "PointedError",
    "Pool",
    "PoolBy",
    "Problem",
    "Prompt",
    "Provenance",
    "RenderRequest",
    "Rendered",
    "RenderedBranch",
    "ResultsEnd",
    "Score",
    "Segment",
    "Template",
    "TextPart",
    "TokenCandidates",
    "TokenMoments",
    "Waiting",
    "digest",
]
