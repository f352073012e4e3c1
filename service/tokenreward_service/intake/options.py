"""TODO: what this module owns."""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward.schema import ModelInfo, PointedError
from tokenreward_service.problems import ProblemError


def _choose(name: str | None, models: Sequence[ModelInfo]) -> ModelInfo:
    if name is None:
        serving = {info.name for info in models if info.workers} or {info.name for info in models}
        if not serving:
            raise ProblemError(503, "No model", "No worker has ever served a model here.", headers={"Retry-After": "5"})
        if len(serving) > 1:
            raise _unprocessable("/model", f"several models are served; name one of: {', '.join(sorted(serving))}")
        name = serving.pop()
    plain, _, fingerprint = name.rpartition("@")
    for info in models:  # live ones first, newest first
        if name == info.name or (plain == info.name and fingerprint == info.fingerprint_digest):
            return info
    known = ", ".join(sorted({info.name for info in models})) or "none"
    raise _unprocessable("/model", f"unknown model {name!r}; known: {known}")


def _unprocessable(pointer: str, detail: str) -> ProblemError:
    return ProblemError(422, "Invalid option", detail, errors=[PointedError(pointer=pointer, detail=detail)])
