"""What `include` asks for and the workers of a model can never give: refused before anything is accepted.

Workers publish what they lack with their model. What only some requests cannot have, such as named ids that differ from
token to token over SGLang's wire, stays an error of its item.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward.schema import Include, ModelInfo, PointedError
from tokenreward.schema.provenance import REMOTE, TOKEN_CLASSIFIER
from tokenreward_service.problems import ProblemError

#: What to take instead of something that an endpoint does not give.
_INSTEAD: dict[Include, str] = {
    "moments": "'logprobs', and estimator 'lp_word' where it is `z_word` that the moments are for,",
    "named": "'top', or wire vllm-generate before a vLLM on GPUs,",
}


def check_include(include: Sequence[Include], models: Sequence[ModelInfo]) -> None:
    """Refuse a request whose results cannot hold what it asks for.

    Args:
        include: Of the request.
        models: All that score its branches.

    Raises:
        ProblemError: 422 that says which model lacks what, and what to take instead.
    """
    for place, name in enumerate(include):
        for model in models:
            if name in model.lacks:
                detail = f"the workers of {model.name} cannot give {name!r}: {_why(name, model)}"
                errors = [PointedError(pointer=f"/include/{place}", detail=detail)]
                raise ProblemError(422, "Invalid option", detail, errors=errors)


def _why(name: Include, model: ModelInfo) -> str:
    if model.fingerprint.head == TOKEN_CLASSIFIER:
        return "it is a token classifier, which judges tokens and predicts none. Take 'logprobs', its judgements"
    if model.fingerprint.engine == REMOTE:
        instead = _INSTEAD.get(name, "'logprobs',")
        others = "a worker with engine vllm or transformers"
        return f"they score through endpoints, which do not have it. Take {instead} or {others}"
    return "their engine does not have it. Leave it out"
