"""vLLM's `POST /inference/v1/generate`, tokens in and tokens out, as prime-rl asks it for prefill log-probs.

Shapes: vLLM 0.32, `vllm/entrypoints/scale_out/token_in_token_out/protocol.py` (`GenerateRequest`,
`GenerateTokensResponse`) and `vllm/sampling_params.py` (`SamplingParams`); prime-rl's `utils/client.py`
(`prefill_logprobs`) reads the first entry of each object as the given token's.
"""

from __future__ import annotations

import base64
import io
import time
from typing import Annotated, Any
from uuid import uuid4

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tokenreward_service.http.media_types import JSON
from tokenreward_service.routes.auth import LabelerDep
from tokenreward_service.runtime import RuntimeDep
from tokenreward_service.wires.branch_asked import TeacherBranch
from tokenreward_service.wires.completions import usage
from tokenreward_service.wires.prompt_rows import prompt_logprobs, with_field
from tokenreward_service.wires.scored_options import check_generated, check_named, check_options, check_top, refused
from tokenreward_service.wires.sequence_scoring import Answer, Asked, ModelName, TokenIds, read_body, score
from tokenreward_service.wires.token_rows import TokenRows
from tokenreward_service.wires.wire_errors import VllmError, VllmRoute, error_responses

router = APIRouter(tags=["teacher wires"], route_class=VllmRoute)


#: A named id; -1 fills a row that has fewer than others.
_NamedId = Annotated[int, Field(ge=-1, lt=2**31, strict=True)]
_NamedRow = Annotated[list[_NamedId], Field(fail_fast=True)]


class GenerateSampling(BaseModel):
    """The `sampling_params` of a request, as far as a teacher reads them. Others must leave scores as they are.

    Attributes:
        max_tokens: 1: nothing is generated all the same.
        prompt_logprobs: How many of the likeliest tokens to return beside each token.
        prompt_logprob_token_ids: int `[rows, ids]`: the tokens to score as the one that follows
            `prompt_logprob_start + row`.
        prompt_logprob_start: The place of the first row; 0 unless given.
        logprobs: Of generated tokens, of which there are none: refused.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    max_tokens: int | None = None
    prompt_logprobs: int | None = None
    prompt_logprob_token_ids: Annotated[list[_NamedRow], Field(min_length=1, fail_fast=True)] | None = None
    prompt_logprob_start: Annotated[int, Field(ge=0)] | None = None
    logprobs: int | None = None


class GenerateRequest(BaseModel):
    """A request of vLLM's token wire, as far as a teacher reads it. Other options must leave scores as they are.

    Attributes:
        token_ids: The sequence to score.
        sampling_params: What is asked of it.
        model: A model of `GET /v1/models`; None means the only one.
        request_id: A name that comes back with the answer.
        return_token_ids: Whether the ids come back.
        tokenreward: What our service can do beyond the wire.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    token_ids: TokenIds
    sampling_params: GenerateSampling
    model: ModelName | None = None
    request_id: Annotated[str, Field(max_length=512)] | None = None
    return_token_ids: bool | None = None
    tokenreward: TeacherBranch | None = None

    def asked(self) -> Asked:
        """Return what is asked for.

        Raises:
            ProblemError: 422, for what a teacher cannot do.
        """
        sampling = self.sampling_params
        check_options(self.model_extra or {})
        check_options(sampling.model_extra or {}, "sampling_params.")
        check_generated(sampling.max_tokens, "sampling_params.max_tokens")
        if sampling.logprobs is not None:
            raise refused("sampling_params.logprobs", "they are of generated tokens, and nothing is generated")
        if len(self.token_ids) < 2:
            raise refused("token_ids", "the first token has no log-prob: send two at least")
        if sampling.prompt_logprob_token_ids is not None:
            return self._asked_by_name(sampling.prompt_logprob_token_ids, sampling.prompt_logprob_start or 0)
        if sampling.prompt_logprob_start is not None:
            raise refused("sampling_params.prompt_logprob_start", "it needs prompt_logprob_token_ids")
        if sampling.prompt_logprobs is None:
            raise refused(
                "sampling_params", "there is nothing to score: give prompt_logprobs or prompt_logprob_token_ids"
            )
        check_top(sampling.prompt_logprobs, "sampling_params.prompt_logprobs")
        return Asked([self.token_ids], [1], self.model, self.tokenreward, sampling.prompt_logprobs)

    def _asked_by_name(self, rows: list[list[int]], start: int) -> Asked:
        """Rows of named ids: the first one is of the token behind `start`; nothing behind the last one is scored."""
        field = "sampling_params.prompt_logprob_token_ids"
        if self.sampling_params.prompt_logprobs is not None:
            raise refused("sampling_params.prompt_logprobs", f"give these or {field}, not both")
        branch = self.tokenreward if self.tokenreward and self.tokenreward.branch is not None else None
        response = max((item.response_start for item in branch.items or []), default=0) if branch else 0
        if start + 1 < response:
            raise refused(
                "sampling_params.prompt_logprob_start",
                f"the first row would be of token {start + 1}, and the branch scores the response, which begins at "
                f"token {response}: give {response - 1} or more",
            )
        places = max(len(self.token_ids) - 1 - start, 0)
        if len(rows) > places:
            raise refused(field, f"{len(rows)} rows are given for {places} places")
        width = max(map(len, rows))
        for ids in rows:
            check_named(ids, field)
        padded = [[max(token, 0) for token in ids] + [0] * (width - len(ids)) for ids in rows]
        end = start + 1 + len(rows)
        # What most ask for is the given tokens' own log-probs, which are scored anyway.
        own = padded == [[token] for token in self.token_ids[start + 1 : end]]
        sequence = self.token_ids[:end]
        return Asked([sequence], [start + 1], self.model, self.tokenreward, named=None if own else padded)


class GenerateAnswer(BaseModel):
    """The answer: `prompt_logprobs[t]` is null or `{token id: {logprob, rank, decoded_token}}`.

    Attributes:
        request_id: The request's name.
        output_mode: `tokens`.
        model: The model that scored.
        created: Seconds since 1970.
        usage: How many tokens were scored.
        choices: One, without tokens: nothing is generated.
        prompt_logprobs: The rows, if `prompt_logprobs` was asked for.
        prompt_token_id_logprobs: float32 `[rows, ids]` as base64 of a `.npy`, if `prompt_logprob_token_ids` was given.
        prompt_token_ids: The ids, if they were asked for.
        tokenreward: The provenance of the scores.
    """

    request_id: str
    output_mode: str = "tokens"
    model: str
    created: int
    usage: dict[str, int]
    choices: list[dict[str, Any]]
    prompt_logprobs: list[dict[str, Any] | None] | None = None
    prompt_token_id_logprobs: str | None = None
    prompt_token_ids: list[int] | None = None
    tokenreward: dict[str, Any]


_BODY = {
    "requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/GenerateRequest"}}}}
}


@router.post(
    "/inference/v1/generate", response_model=GenerateAnswer, responses=error_responses(VllmError), openapi_extra=_BODY
)
async def generate(request: Request, runtime: RuntimeDep, caller: LabelerDep) -> Response:
    """Score given token ids, as vLLM's token wire does. Nothing is generated."""
    await runtime.admission.check()
    with runtime.admission.admit(caller.owner) as admission:
        body = await read_body(request, GenerateRequest, runtime, admission)
        answer = await score(request, runtime, caller, body.asked(), admission)
    return Response(_written(answer, body), media_type=JSON)


def _written(answer: Answer, body: GenerateRequest) -> bytes:
    (scored,) = answer.sequences
    asked = body.sampling_params.prompt_logprob_token_ids
    fields = {
        "request_id": body.request_id or uuid4().hex,
        "output_mode": "tokens",
        "model": answer.provenance.fingerprint.model,
        "created": int(time.time()),
        "usage": usage(answer),
        "choices": [{"index": 0, "finish_reason": "length", "stop_reason": None, "token_ids": [], "logprobs": None}],
        "prompt_token_id_logprobs": None if asked is None else _npy(_by_name(scored.rows, asked)),
        "prompt_token_ids": body.token_ids if body.return_token_ids else None,
        "tokenreward": answer.about,
    }
    return with_field(fields, "prompt_logprobs", b"null" if asked is not None else prompt_logprobs(scored))


def _by_name(rows: TokenRows, asked: list[list[int]]) -> NDArray[np.float32]:
    """The named ids' log-probs, float32 `[rows, ids]`; minus infinity where -1 fills a row, or nothing does."""
    found = rows.logprobs[:, None] if rows.named is None else rows.named.logprobs
    filled = np.array([[token >= 0 for token in ids] + [False] * (found.shape[1] - len(ids)) for ids in asked])
    return np.where(filled, found, np.float32(-np.inf))


def _npy(values: Any) -> str:
    """An array as vLLM sends it (`vllm/utils/serial_utils.py`, `numpy2base64`)."""
    sink = io.BytesIO()
    np.save(sink, values.astype(np.float32), allow_pickle=False)
    return base64.b64encode(sink.getvalue()).decode("ascii")
