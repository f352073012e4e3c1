"""Which of a service's models an audit asks: the one whose labels and baselines are measured, and trained labelers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tokenreward import estimators, templates
from tokenreward.audit.plan import Label, labels
from tokenreward.errors import BadInput
from tokenreward.schema import ModelInfo, Pool, PoolBy
from tokenreward.schema.provenance import TOKEN_CLASSIFIER


def chosen_model(models: Sequence[ModelInfo], name: str | None, labelers: Sequence[str] = ()) -> ModelInfo:
    """Return the model whose labels and baselines are measured.

    Args:
        models: What the service lists, live ones first.
        name: `model` or `model@fingerprint`; None for the only one that is served and is no labeler.
        labelers: The trained labelers, each as `model`, of which no version is chosen then, or `model@fingerprint`.

    Raises:
        BadInput: There is no such model, there are several, or it has no log-probs of tokens.
    """
    if name is None:
        live = [one for one in models if one.workers] or models
        served = [one for one in live if not {one.name, f"{one.name}@{one.fingerprint_digest}"} & set(labelers)]
        if len({one.name for one in served}) != 1:
            listed = ", ".join(sorted({one.name for one in served})) or "none"
            raise BadInput(f"which model? --model takes one of those that are served: {listed}")
        found = served[0]
    else:
        found = _named(models, name)
    if found.fingerprint.head == TOKEN_CLASSIFIER:
        raise BadInput(
            f"{found.name} is a token classifier and has no log-probs of tokens, which the baselines are made of: serve"
            f" the model that it was trained from beside it, and give --model THAT --labeler {found.name}"
        )
    return found


def labeler_labels(
    models: Sequence[ModelInfo], names: Sequence[str], pool: Pool | None = None, pool_by: PoolBy = "mean"
) -> list[Label]:
    """Return the labels that trained labelers give: `tlcr` if it is a token classifier, `rlmec` if it corrects.

    They are called by the labeler's name, and by `name@fingerprint` where two labelers have one name.

    Args:
        models: What the service lists.
        names: The labelers, each as `model` or `model@fingerprint`; one that is named twice counts once.
        pool: What rewards are pooled over.
        pool_by: How they are pooled.

    Raises:
        BadInput: There is no such model.
    """
    chosen = {(one.name, one.fingerprint_digest): one for one in (_named(models, name) for name in names)}
    of_name = Counter(name for name, _ in chosen)
    made: list[Label] = []
    for (name, digest), found in chosen.items():
        method = estimators.resolve("tlcr" if found.fingerprint.head == TOKEN_CLASSIFIER else "rlmec")
        model = f"{name}@{digest}"
        called = name if of_name[name] == 1 else model
        made += labels([templates.resolve(method.template)], [method], pool, pool_by, model=model, called=called)
    return made


def _named(models: Sequence[ModelInfo], name: str) -> ModelInfo:
    plain, _, fingerprint = name.rpartition("@")
    for one in models:
        if name == one.name or (plain == one.name and fingerprint == one.fingerprint_digest):
            return one
    known = ", ".join(sorted({one.name for one in models})) or "none"
    raise BadInput(f"the service knows no model {name!r}; known: {known}")
