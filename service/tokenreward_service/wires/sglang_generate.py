"""SGLang's `POST /generate`, as slime, miles and verl ask a teacher for the log-probs of given prompts.

Shapes: SGLang 0.5.23, `sglang/srt/managers/io_struct.py` (`GenerateReqInput`),
`sglang/srt/managers/tokenizer_manager.py` (`add_logprob_to_meta_info`) and
`sglang/srt/managers/scheduler_components/logprob_result_processor.py`: the lists begin at `logprob_start_len`, and the
first log-prob in them is null. slime's `rollout/on_policy_distillation.py` reads them so.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic_core import to_json

from tokenreward_service.http.media_types import JSON
from tokenreward_service.routes.auth import LabelerDep
from tokenreward_service.runtime import RuntimeDep
from tokenreward_service.wires.branch_asked import TeacherBranch
from tokenreward_service.wires.scored_options import check_generated, check_named, check_options, check_top, refused
from tokenreward_service.wires.sequence_scoring import Answer, Asked, ScoredSequence, TokenIds, read_body, score
from tokenreward_service.wires.token_rows import Candidates
from tokenreward_service.wires.wire_errors import SglangError, SglangRoute, error_responses

router = APIRouter(tags=["teacher wires"], route_class=SglangRoute)

_Count = Annotated[int, Field(ge=0)]


class SglangRequest(BaseModel):
    """A request of SGLang's wire, as far as a teacher reads it. Other options must leave scores as they are.

    Attributes:
        input_ids: Token ids of one sequence, or of several.
        text: Refused: client and service may tokenize it differently.
        sampling_params: `max_new_tokens` must be 0 or 1: nothing is generated. Other options must leave scores alone.
        return_logprob: True: a teacher has nothing else to return.
        logprob_start_len: The first token of the lists; its own log-prob is null.
        top_logprobs_num: How many of the likeliest tokens to return beside each token.
        token_ids_logprob: Further tokens to score at every place.
        tokenreward: What our service can do beyond the wire.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    input_ids: TokenIds | list[TokenIds] | None = None
    text: str | list[str] | None = None
    sampling_params: dict[str, Any] = Field(default={})
    return_logprob: bool = False
    logprob_start_len: int | list[int] = -1
    top_logprobs_num: _Count = 0
    token_ids_logprob: TokenIds | None = None
    tokenreward: TeacherBranch | None = None

    @property
    def several(self) -> bool:
        """Whether the answer is a list."""
        return bool(self.input_ids) and isinstance(self.input_ids[0], list)  # type: ignore[index]

    def asked(self) -> Asked:
        """Return what is asked for.

        Raises:
            ProblemError: 422, for what a teacher cannot do.
        """
        check_options(self.model_extra or {})
        check_options(
            {name: value for name, value in self.sampling_params.items() if name != "max_new_tokens"},
            "sampling_params.",
        )
        check_generated(self._new_tokens(), "sampling_params.max_new_tokens")
        if not self.return_logprob:
            raise refused("return_logprob", "a teacher returns log-probs and nothing else: give true")
        check_top(self.top_logprobs_num, "top_logprobs_num")
        if self.token_ids_logprob is not None:
            check_named(self.token_ids_logprob, "token_ids_logprob")
        sequences = self._sequences()
        starts = self._starts(sequences)
        return Asked(sequences, starts, None, self.tokenreward, self.top_logprobs_num, self.token_ids_logprob)

    def _new_tokens(self) -> int | None:
        count = self.sampling_params.get("max_new_tokens")
        return count if isinstance(count, int) else None

    def _sequences(self) -> list[list[int]]:
        if not self.input_ids:
            raise refused(
                "text" if self.text else "input_ids",
                "send input_ids: the service does not tokenize here, where two tokenizers could disagree",
            )
        sequences: Any = self.input_ids if self.several else [self.input_ids]
        return list(sequences)

    def _starts(self, sequences: list[list[int]]) -> list[int]:
        given = self.logprob_start_len
        places = given if isinstance(given, list) else [given] * len(sequences)
        if len(places) != len(sequences):
            raise refused("logprob_start_len", f"{len(places)} places are given for {len(sequences)} sequences")
        for number, (place, ids) in enumerate(zip(places, sequences, strict=True)):
            if not 0 <= place < len(ids) - 1:
                raise refused(
                    "logprob_start_len",
                    f"sequence {number} has {len(ids)} tokens, and none is scored behind place {place}; give 0 for all",
                )
        return [place + 1 for place in places]


class SglangResult(BaseModel):
    """The answer for one sequence.

    Attributes:
        text: Empty: nothing is generated.
        output_ids: Empty.
        meta_info: `input_token_logprobs` is a list of `[logprob, token id, null]` from `logprob_start_len` on, the
            first log-prob null; `input_top_logprobs` a list of such lists, the first one null. The rest is about the
            request.
        tokenreward: The provenance of the scores.
    """

    text: str = ""
    output_ids: list[int] = Field(default=[])
    meta_info: dict[str, Any]
    tokenreward: dict[str, Any]


class SglangAnswer(RootModel[SglangResult | list[SglangResult]]):
    """One result; or a list of them, if `input_ids` is a list of sequences."""


_BODY = {
    "requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/SglangRequest"}}}}
}


@router.post("/generate", response_model=SglangAnswer, responses=error_responses(SglangError), openapi_extra=_BODY)
async def generate(request: Request, runtime: RuntimeDep, caller: LabelerDep) -> Response:
    """Score given token ids, as SGLang does with `return_logprob`. Nothing is generated."""
    await runtime.admission.check()
    with runtime.admission.admit(caller.owner) as admission:
        body = await read_body(request, SglangRequest, runtime, admission)
        asked = body.asked()
        answer = await score(request, runtime, caller, asked, admission)
    results = [_result(scored, start, answer) for scored, start in zip(answer.sequences, asked.starts, strict=True)]
    return Response(to_json(results if body.several else results[0]), media_type=JSON)


def _result(scored: ScoredSequence, start: int, answer: Answer) -> dict[str, Any]:
    """One sequence's result, its lists from the token before `start` on, where a branch's response may begin later."""
    missing = scored.start - start + 1
    tokens = scored.ids[start - 1 :]
    rows = [None] * missing + scored.rows.logprobs.tolist()
    meta: dict[str, Any] = {
        "id": uuid4().hex,
        "finish_reason": {"type": "length", "length": 0},
        "prompt_tokens": len(scored.ids),
        "completion_tokens": 0,
        "cached_tokens": 0,
        "weight_version": answer.provenance.fingerprint_digest,
        "input_token_logprobs": [[row, token, None] for row, token in zip(rows, tokens, strict=True)],
        "output_token_logprobs": [],
    }
    for name, candidates in (("top", scored.rows.top), ("token_ids", scored.rows.named)):
        if candidates is not None:
            meta[f"input_{name}_logprobs"] = [None] * missing + _listed(candidates)
            meta[f"output_{name}_logprobs"] = []
    return {"text": "", "output_ids": [], "meta_info": meta, "tokenreward": answer.about}


def _listed(candidates: Candidates) -> list[list[list[Any]]]:
    pairs = zip(candidates.logprobs.tolist(), candidates.ids.tolist(), strict=True)
    return [[[value, token, None] for value, token in zip(*row, strict=True)] for row in pairs]
