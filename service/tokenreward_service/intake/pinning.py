"""Resolves a request's options: the template, the estimator, and the fingerprint that the job is pinned to."""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward import estimators, templates
from tokenreward.errors import BadInput, UnknownName
from tokenreward.estimators import Estimator
from tokenreward.protocol.records import ScoringOptions
from tokenreward.schema import JobOptions, ModelInfo, PointedError, Provenance
from tokenreward_service.fleet import Fleet, is_awaited
from tokenreward_service.intake.branch_pinning import branch_models, wanted_models
from tokenreward_service.intake.capabilities import check_include
from tokenreward_service.problems import ProblemError
from tokenreward_service.store.adapters import Adapters
from tokenreward_service.store.drafts import Plan
from tokenreward_service.version import VERSION


async def plan(options: JobOptions, fleet: Fleet, adapters: Adapters) -> Plan:
    """Resolve a request's options.

    Args:
        options: As they were sent.
        fleet: What models there are.
        adapters: And which adapters of them.

    Raises:
        ProblemError: 422 for a name or parameter that is not known, a branch that the template lacks, or
            something to include that the model's workers cannot give; 503 if no worker ever served a model.
    """
    try:
        estimator = estimators.resolve(options.estimator)
        parameters = estimator.chosen(options.parameters)
    except UnknownName as error:
        raise _unprocessable("/estimator", str(error)) from error
    except BadInput as error:
        raise _unprocessable("/parameters", str(error)) from error
    try:
        template = templates.resolve(estimator.template if options.template is None else options.template)
    except UnknownName as error:
        raise _unprocessable("/template", str(error)) from error
    if (unfit := estimator.unfit(template)) is not None:
        raise _unprocessable("/template", unfit)
    wanted = wanted_models(template, estimator.branches, options.models)
    seen = await (fleet.look() if wanted else fleet.recent(options.model))
    model = choose_model(options.model, seen.models)
    if (unfit := _unfit_model(estimator, model)) is not None:
        raise _unprocessable("/estimator", unfit)
    known = await adapters.of(model.fingerprint) if wanted else []
    scored = branch_models(template, estimator.branches, wanted, model, seen, known)
    unfits = (_unfit_model(estimator, info) for info in scored.models)
    if (unfit := next(filter(None, unfits), None)) is not None:
        raise _unprocessable("/models", unfit)
    check_include(options.include, scored.models)
    provenance = Provenance(
        fingerprint=model.fingerprint,
        fingerprint_digest=model.fingerprint_digest,
        template=template.name,
        template_hash=template.hash,
        estimator=estimator.name,
        estimator_hash=estimator.hash_with(options.parameters),
        parameters=parameters,
        pool=options.pool and f"{options.pool}:{options.pool_by}",
        unbounded=estimator.unbounded,
        tokenreward_version=VERSION,
        models=scored.uses,
    )
    needed = {info.fingerprint_digest for info in scored.models}
    speeds = [
        worker.tokens_per_second
        for worker in seen.workers
        if worker.fingerprint_digest in needed and worker.tokens_per_second
    ]
    return Plan(
        options=options,
        scoring=ScoringOptions(
            template=scored.template,
            estimator=estimator.name,
            parameters=parameters,
            pool=options.pool,
            pool_by=options.pool_by,
            include=options.include,
            top_k=options.top_k,
            adapters=scored.adapters,
            elsewhere=scored.elsewhere,
            provenance=provenance,
        ),
        missing=[info.name for info in scored.models if not info.workers],
        speed=min(speeds) if speeds else None,
    )


def choose_model(name: str | None, models: Sequence[ModelInfo]) -> ModelInfo:
    """The model that a request is for.

    Args:
        name: `model`, `model@fingerprint`, or None for the only one that is served.
        models: Live ones first, newest first.

    Raises:
        ProblemError: 422 for an unknown or an ambiguous name, 503 if there is no model at all.
    """
    if name is None:
        serving = {info.name for info in models if info.workers} or {info.name for info in models}
        if not serving:
            detail = "A worker that has just started may still be loading its model."
            raise ProblemError(503, "No worker serves a model yet", detail, headers={"Retry-After": "5"})
        if len(serving) > 1:
            raise _unprocessable("/model", f"several models are served; name one of: {', '.join(sorted(serving))}")
        name = serving.pop()
    plain, _, fingerprint = name.rpartition("@")
    for info in models:
        if name == info.name or (plain == info.name and fingerprint == info.fingerprint_digest):
            return info
    known = ", ".join(sorted({info.name for info in models})) or "none"
    raise _unprocessable("/model", f"unknown model {name!r}; known: {known}")


def _unfit_model(estimator: Estimator, model: ModelInfo) -> str | None:
    """Why a model cannot be used with an estimator. Of one that nobody has served yet, only its worker can tell."""
    return None if is_awaited(model.fingerprint) else estimator.unfit_model(model.fingerprint)


def _unprocessable(pointer: str, detail: str) -> ProblemError:
    return ProblemError(422, "Invalid option", detail, errors=[PointedError(pointer=pointer, detail=detail)])
