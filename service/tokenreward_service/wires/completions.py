"""vLLM's `POST /v1/completions`, as TRL, verl and OpenAI clients ask it for the log-probs of given prompts.

Shapes: vLLM 0.32, `vllm/entrypoints/openai/completion/protocol.py` (`CompletionRequest`, `CompletionResponse`) and
`vllm/logprobs.py` (`Logprob`); the client that reads most of it is TRL 1.16's `VLLMClient.get_sequence_logprobs`
(`trl/generation/vllm_client.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from tokenreward_service.http.media_types import JSON
from tokenreward_service.routes.auth import LabelerDep
from tokenreward_service.runtime import RuntimeDep
from tokenreward_service.wires.branch_asked import TeacherBranch
from tokenreward_service.wires.prompt_rows import prompt_logprobs, with_field
from tokenreward_service.wires.scored_options import check_generated, check_options, check_top, refused
from tokenreward_service.wires.sequence_scoring import Answer, Asked, ModelName, TokenIds, read_body, score
from tokenreward_service.wires.wire_errors import VllmError, VllmRoute, error_responses

router = APIRouter(tags=["teacher wires"], route_class=VllmRoute)


class CompletionRequest(BaseModel):
    """A request of vLLM's completions wire, as far as a teacher reads it. Other options must leave scores as they are.

    Attributes:
        prompt: Token ids of one sequence, or of several. Text is refused: client and service may tokenize it
            differently.
        prompt_logprobs: How many of the likeliest tokens to return beside each token of the prompt.
        max_tokens: 1, or 0: nothing is generated, and the text is empty.
        model: A model of `GET /v1/models`; None means the only one.
        logprobs: Of generated tokens, of which there are none: refused.
        return_token_ids: Whether the prompt's ids come back.
        tokenreward: What our service can do beyond the wire.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    prompt: TokenIds | list[TokenIds] | str | list[str]
    prompt_logprobs: int | None = None
    max_tokens: int | None = None
    model: ModelName | None = None
    logprobs: int | None = None
    return_token_ids: bool | None = None
    tokenreward: TeacherBranch | None = None

    def asked(self) -> Asked:
        """Return what is asked for.

        Raises:
            ProblemError: 422, for what a teacher cannot do.
        """
        check_options(self.model_extra or {})
        check_generated(self.max_tokens, "max_tokens")
        if self.logprobs is not None:
            raise refused("logprobs", "they are of generated tokens, and nothing is generated; ask for prompt_logprobs")
        if self.prompt_logprobs is None:
            raise refused("prompt_logprobs", "there is nothing to score without it; give 0 for the given tokens alone")
        check_top(self.prompt_logprobs, "prompt_logprobs")
        sequences = self._sequences()
        return Asked(sequences, [1] * len(sequences), self.model, self.tokenreward, self.prompt_logprobs)

    def _sequences(self) -> list[list[int]]:
        first = self.prompt[0] if self.prompt else None
        if isinstance(self.prompt, str) or isinstance(first, str):
            raise refused(
                "prompt", "send token ids: the service does not tokenize here, where two tokenizers could disagree"
            )
        sequences: Any = self.prompt if isinstance(first, list) else [self.prompt]
        short = next((number for number, ids in enumerate(sequences) if len(ids) < 2), None)
        if short is not None:
            raise refused(
                "prompt",
                f"sequence {short} has {len(sequences[short])} tokens; the first token has no log-prob, so send two",
            )
        return list(sequences)


class CompletionAnswer(BaseModel):
    """The answer: `choices[i].prompt_logprobs[t]` is null or `{token id: {logprob, rank, decoded_token}}`.

    Attributes:
        id: A name of the answer.
        object: `text_completion`.
        created: Seconds since 1970.
        model: The model that scored.
        choices: One for each sequence, in order. `text` is empty and `finish_reason` is `length`.
        usage: How many tokens were scored.
        tokenreward: The provenance of the scores.
    """

    id: str
    object: str = "text_completion"
    created: int
    model: str
    choices: list[dict[str, Any]] = Field(default=[])
    usage: dict[str, int]
    tokenreward: dict[str, Any]


_BODY = {
    "requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/CompletionRequest"}}}}
}


@router.post(
    "/v1/completions", response_model=CompletionAnswer, responses=error_responses(VllmError), openapi_extra=_BODY
)
async def completions(request: Request, runtime: RuntimeDep, caller: LabelerDep) -> Response:
    """Score given token ids, as vLLM does with `prompt_logprobs`. Nothing is generated."""
    await runtime.admission.check()
    with runtime.admission.admit(caller.owner) as admission:
        body = await read_body(request, CompletionRequest, runtime, admission)
        answer = await score(request, runtime, caller, body.asked(), admission)
    return StreamingResponse(_written(answer, ids_too=bool(body.return_token_ids)), media_type=JSON)


async def _written(answer: Answer, *, ids_too: bool) -> AsyncIterator[bytes]:
    head = {
        "id": f"cmpl-{uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": answer.provenance.fingerprint.model,
        "usage": usage(answer),
        "tokenreward": answer.about,
    }
    yield to_json(head)[:-1] + b',"choices":['
    for index, scored in enumerate(answer.sequences):
        choice = {
            "index": index,
            "text": "",
            "logprobs": None,
            "finish_reason": "length",
            "stop_reason": None,
            "token_ids": [] if ids_too else None,
            "prompt_token_ids": scored.ids if ids_too else None,
        }
        yield (b"," if index else b"") + with_field(choice, "prompt_logprobs", prompt_logprobs(scored))
        await asyncio.sleep(0)
    yield b"]}"


def usage(answer: Answer) -> dict[str, int]:
    """Return vLLM's `usage` of an answer."""
    tokens = sum(len(scored.ids) for scored in answer.sequences)
    return {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
