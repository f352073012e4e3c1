"""What scores each branch of a job: the job's model, a version of one of its adapters, or another served model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tokenreward.protocol.adapter_records import AdapterRecord
from tokenreward.protocol.records import AdapterRef
from tokenreward.schema import Fingerprint, ModelInfo, ModelUse, PointedError, Template
from tokenreward_service.fleet import FleetView, is_awaited
from tokenreward_service.problems import ProblemError
from tokenreward_service.store.adapters import named


@dataclass(frozen=True, slots=True)
class BranchModels:
    """What the branches of a job were resolved to.

    Attributes:
        template: The template, whose branches name exactly that.
        adapters: The adapter of a branch, by the branch's name.
        elsewhere: The digest of another model that scores a branch.
        uses: What scored which branches, for provenance; empty where the job's model scores all of them.
        models: Every model that is needed, the job's own first.
    """

    template: Template
    adapters: dict[str, AdapterRef] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    uses: list[ModelUse] = field(default_factory=list)
    models: list[ModelInfo] = field(default_factory=list)


def wanted_models(template: Template, branches: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the model that each branch names, by the branch's name; branches that name none are left out.

    Args:
        template: The template.
        branches: Those of its branches that the estimator reads.
        given: What the request says instead, by a branch's name or by the name that the template has for the model.

    Raises:
        ProblemError: 422, if the request names something else.
    """
    names = {template.branches[branch].model for branch in branches} - {None}
    for key in given:
        if key not in branches and key not in names:
            known = ", ".join([*branches, *sorted(map(str, names))])
            raise _unprocessable(f"/models/{key}", f"{key!r} is neither a branch that is scored nor its model: {known}")
    found = {}
    for branch in branches:
        own = template.branches[branch].model
        model = given.get(branch) or (own and given.get(own, own))
        if model:
            found[branch] = model
    return found


def branch_models(
    template: Template,
    branches: Sequence[str],
    wanted: Mapping[str, str],
    model: ModelInfo,
    seen: FleetView,
    adapters: Sequence[AdapterRecord],
) -> BranchModels:
    """Resolve what scores each branch.

    Args:
        template: The template.
        branches: Those of its branches that the estimator reads.
        wanted: From `wanted_models`.
        model: The job's model.
        seen: The fleet.
        adapters: The adapters of the job's model, the newest first.

    Raises:
        ProblemError: 422, if a name is not known, stands for a model with another tokenizer, or for an adapter that not
            every worker takes.
    """
    found: dict[str, AdapterRef] = {}
    others: dict[str, ModelInfo] = {}
    for branch, name in wanted.items():
        versions = named(list(adapters), name)
        if versions:
            found[branch] = AdapterRef(name=versions[0].name, version=versions[0].version, source=versions[0].source)
        elif (other := _served(name, seen)) is None:
            raise _unknown(branch, name, model, seen, adapters)
        elif other.fingerprint_digest != model.fingerprint_digest:
            _check_tokenizer(branch, other, model)
            others[branch] = other
    if found:
        _check_workers(model, seen)
    exact = {branch: f"{ref.name}@{ref.version}" for branch, ref in found.items()}
    exact |= {branch: f"{other.name}@{other.fingerprint_digest}" for branch, other in others.items()}
    return BranchModels(
        template=_pinned(template, exact),
        adapters=found,
        elsewhere={branch: other.fingerprint_digest for branch, other in others.items()},
        uses=_uses(branches, model, found, others) if found or others else [],
        models=list({info.fingerprint_digest: info for info in (model, *others.values())}.values()),
    )


def _check_workers(model: ModelInfo, seen: FleetView) -> None:
    """Any worker of the model may take a shard, so all that are alive have to take adapters."""
    own = [worker for worker in seen.workers if worker.fingerprint_digest == model.fingerprint_digest]
    without = [worker for worker in own if not worker.max_adapters]
    if without:
        raise _unprocessable(
            "/models",
            f"worker {without[0].id} of {model.name} on {without[0].host} takes no adapters: start all of its workers "
            "with --max-adapters, and in this version",
        )


def _served(name: str, seen: FleetView) -> ModelInfo | None:
    plain, _, digest = name.rpartition("@")
    return next((info for info in seen.models if name == info.name or (plain, digest) == _exact(info)), None)


def _exact(info: ModelInfo) -> tuple[str, str]:
    return info.name, info.fingerprint_digest


def _check_tokenizer(branch: str, other: ModelInfo, model: ModelInfo) -> None:
    for info in (other, model):
        if is_awaited(info.fingerprint):
            raise _unprocessable(
                f"/template/branches/{branch}/model",
                f"nobody has served {info.name} yet, so its tokenizer is not known: start a worker of it first",
            )
    if other.fingerprint.tokenizer_hash != model.fingerprint.tokenizer_hash:
        raise _unprocessable(
            f"/template/branches/{branch}/model",
            f"branch {branch!r} names {other.name}, whose tokenizer ({other.fingerprint.tokenizer_hash}) is not that "
            f"of {model.name} ({model.fingerprint.tokenizer_hash}): log-probs of different tokens cannot be compared",
        )


def _unknown(
    branch: str, name: str, model: ModelInfo, seen: FleetView, adapters: Sequence[AdapterRecord]
) -> ProblemError:
    known = ", ".join(dict.fromkeys(record.name for record in adapters)) or "none"
    served = ", ".join(sorted({info.name for info in seen.models}))
    return _unprocessable(
        f"/template/branches/{branch}/model",
        f"branch {branch!r} names {name!r}, which is neither an adapter of {model.name} ({known}) nor a served model "
        f"({served})",
    )


def _pinned(template: Template, exact: Mapping[str, str]) -> Template:
    branches = {
        name: branch.model_copy(update={"model": exact.get(name)}) for name, branch in template.branches.items()
    }
    return template.model_copy(update={"branches": branches})


def _uses(
    branches: Sequence[str], model: ModelInfo, adapters: Mapping[str, AdapterRef], others: Mapping[str, ModelInfo]
) -> list[ModelUse]:
    by_digest: dict[str, tuple[Fingerprint, list[str]]] = {}
    for branch in branches:
        fingerprint = others.get(branch, model).fingerprint
        if (ref := adapters.get(branch)) is not None:
            fingerprint = fingerprint.model_copy(update={"adapter": ref.name, "adapter_version": ref.version})
        by_digest.setdefault(fingerprint.digest, (fingerprint, []))[1].append(branch)
    return [
        ModelUse(fingerprint=fingerprint, fingerprint_digest=digest, branches=own)
        for digest, (fingerprint, own) in by_digest.items()
    ]


def _unprocessable(pointer: str, detail: str) -> ProblemError:
    return ProblemError(422, "Invalid option", detail, errors=[PointedError(pointer=pointer, detail=detail)])
