"""tokenreward: one reward for every token of a response.

The names below are the public API. Each is imported when it is first used, so that `import tokenreward` is quick and a
training job pays only for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenreward.dataset import Labeled, label_dataset
    from tokenreward.errors import (
        BadInput,
        ConnectionFailed,
        ItemError,
        JobFailed,
        Rejected,
        TokenRewardError,
        Unavailable,
        UnknownName,
        WaitTimeout,
    )
    from tokenreward.http import AsyncClient, Client
    from tokenreward.schema import (
        Branch,
        EstimatorInfo,
        Fingerprint,
        Item,
        ItemFailure,
        ItemResult,
        Job,
        JobState,
        LabelResponse,
        Message,
        ModelInfo,
        Provenance,
        Rendered,
        Template,
    )
    from tokenreward.settings import ClientSettings

    __version__: str

_HOME = {
    "tokenreward.http": ("AsyncClient", "Client"),
    "tokenreward.dataset": ("Labeled", "label_dataset"),
    "tokenreward.errors": (
        "BadInput",
        "ConnectionFailed",
        "ItemError",
        "JobFailed",
        "Rejected",
        "TokenRewardError",
        "Unavailable",
        "UnknownName",
        "WaitTimeout",
    ),
    "tokenreward.schema": (
        "Branch",
        "EstimatorInfo",
        "Fingerprint",
        "Item",
        "ItemFailure",
        "ItemResult",
        "Job",
        "JobState",
        "LabelResponse",
        "Message",
        "ModelInfo",
        "Provenance",
        "Rendered",
        "Template",
    ),
    "tokenreward.settings": ("ClientSettings",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AsyncClient",
    "BadInput",
    "Branch",
    "Client",
    "ClientSettings",
    "ConnectionFailed",
    "EstimatorInfo",
    "Fingerprint",
    "Item",
    "ItemError",
    "ItemFailure",
    "ItemResult",
    "Job",
    "JobFailed",
    "JobState",
    "LabelResponse",
    "Labeled",
    "Message",
    "ModelInfo",
    "Provenance",
    "Rejected",
    "Rendered",
    "Template",
    "TokenRewardError",
    "Unavailable",
    "UnknownName",
    "WaitTimeout",
    "__version__",
    "label_dataset",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("tokenreward")
    elif name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module 'tokenreward' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
