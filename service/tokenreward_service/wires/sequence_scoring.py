"""From sequences of token ids to the log-prob of every token: a job like any other, whose answer is waited for.

The job goes the way of `POST /v1/label`: the same admission, the same coalescing of calls that arrive together, the
same queue and cache. It is removed once its results are read, because nobody else can ask for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import pyarrow as pa
from fastapi import Request
from pydantic import BaseModel, Field

from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.schema import TOP_K, Include, Job, JobOptions, Provenance
from tokenreward_service.http.decompression import expanded
from tokenreward_service.http.media_types import JSON
from tokenreward_service.intake.admission import Admission
from tokenreward_service.intake.json_shape import SEQUENCE_ENDS
from tokenreward_service.intake.parsing import read_json, too_long
from tokenreward_service.intake.submission import Submission
from tokenreward_service.problems import ProblemError, unavailable
from tokenreward_service.results.reading import read_results
from tokenreward_service.routes.auth import Caller
from tokenreward_service.routes.request_parsing import existing, media_type
from tokenreward_service.runtime import Runtime
from tokenreward_service.wires.branch_asked import TeacherBranch
from tokenreward_service.wires.scored_options import refused
from tokenreward_service.wires.shared_starts import Part, parts, scoring_order
from tokenreward_service.wires.token_rows import TokenRows

Body = TypeVar("Body", bound=BaseModel)

#: The name of a served model, or `name@fingerprint`.
ModelName = Annotated[str, Field(min_length=1, max_length=512)]
#: One sequence of token ids.
TokenIds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31, strict=True)]], Field(fail_fast=True)]

#: How often a wait looks whether its caller is still there, in seconds.
_LOOK_SECONDS = 5.0
#: The one failure of an item that says nothing about it. All others would be the same if it were asked again.
_CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a wire's request asks for.

    Attributes:
        sequences: Token ids.
        starts: For each sequence, the first token whose log-prob is wanted, at least 1.
        model: The model that the wire names, if it names one.
        extra: The request's field `tokenreward`.
        top: How many of the likeliest tokens are wanted beside each token.
        named: Ids whose log-probs are wanted, the same at each token, or for each token from the start on; None for
            none.
    """

    sequences: Sequence[list[int]]
    starts: Sequence[int]
    model: str | None = None
    extra: TeacherBranch | None = None
    top: int = 0
    named: list[int] | list[list[int]] | None = None


@dataclass(frozen=True, slots=True)
class ScoredSequence:
    """The rows of one sequence.

    Attributes:
        ids: The sequence.
        start: The first token that has a row.
        rows: One for each token from `start` on.
    """

    ids: list[int]
    start: int
    rows: TokenRows


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of every sequence of a request, and where they come from."""

    sequences: list[ScoredSequence]
    provenance: Provenance

    @property
    def about(self) -> dict[str, Any]:
        """What every wire's answer carries in its field `tokenreward`."""
        return {"provenance": self.provenance.model_dump(mode="json")}


async def read_body(request: Request, kind: type[Body], runtime: Runtime, admission: Admission) -> Body:
    """Read a wire's request.

    Raises:
        ProblemError: It is not JSON, too large, or no `kind`.
    """
    if media_type(request) != JSON:
        raise ProblemError(415, "Unsupported media type", "Send application/json.")
    body = expanded(request, runtime.settings)
    return await read_json(body, kind, runtime.settings, admission, SEQUENCE_ENDS)


async def score(request: Request, runtime: Runtime, caller: Caller, asked: Asked, admission: Admission) -> Answer:
    """Score the sequences of a request, and wait for them.

    Raises:
        ProblemError: 413 or 422 for what cannot be scored, 503 if it took too long or was cancelled.
    """
    options = _options(asked)
    cut = _parts(asked, runtime)
    entries = [entry for number, part in enumerate(cut) if (entry := _entry(asked, number, part, runtime)) is not None]
    job_id = await runtime.intake.submit(
        Submission(
            body=entries,
            kind=JSON,
            options=options,
            owner=caller.owner,
            ttl=runtime.settings.label_ttl_seconds,
            admission=admission,
            interactive=True,
        )
    )
    try:
        job = await _ended(request, runtime, job_id, caller.owner)
        tables = [table async for table in read_results(runtime.store.payloads, job, 0)]
    finally:
        await asyncio.shield(runtime.store.purge(job_id))
    scored = (_rows(table, row) for table in tables for row in range(len(table)))
    fresh = [next(scored) if part.start < len(ids) else None for ids, part in zip(asked.sequences, cut, strict=True)]
    return Answer(_whole(asked, cut, fresh), job.provenance)


def _options(asked: Asked) -> JobOptions:
    extra = asked.extra or TeacherBranch()
    if extra.model is not None and asked.model not in (None, extra.model):
        raise refused("tokenreward.model", "the request names two models; leave out `tokenreward.model`")
    include: list[Include] = ["logprobs"]
    include += ["top"] if asked.top else []
    include += ["named"] if asked.named is not None else []
    return JobOptions(
        model=extra.model or asked.model,
        template=extra.one_branch(),
        estimator="surprisal",
        include=include,
        top_k=asked.top or TOP_K,
    )


def _parts(asked: Asked, runtime: Runtime) -> list[Part]:
    count, most = len(asked.sequences), runtime.settings.max_label_items
    if count > most:
        raise ProblemError(
            413, "Too many sequences", f"At most {most} sequences in a request; send {count} in several."
        )
    if asked.extra is None or asked.extra.branch is None:
        return parts(asked.sequences, asked.starts)
    items = asked.extra.items or []
    if len(items) != count:
        raise refused("tokenreward.items", f"there are {len(items)} items for {count} sequences")
    return [Part(item.response_start) for item in items]


def _entry(asked: Asked, number: int, part: Part, runtime: Runtime) -> Entry | None:
    """One sequence as an item of a job; None if another one has all of its rows."""
    ids = asked.sequences[number]
    most = runtime.settings.max_item_chars
    if len(ids) > most:
        raise ProblemError(
            413, "Sequence too long", f"Sequence {number} has {len(ids)} tokens, the service takes {most}."
        )
    if asked.extra is not None and asked.extra.branch is not None:
        item = asked.extra.shown_item(number, ids, _named_from(asked, number, part.start))
        if failure := too_long(item, runtime.settings):
            raise ProblemError(413, "Item too long", failure.message)
        return Entry(None, item=item)
    if part.start >= len(ids):
        return None
    return Entry(None, item=IdsItem(prompt_ids=ids[: part.start], token_ids=ids[part.start :], named_ids=asked.named))


def _named_from(asked: Asked, number: int, start: int) -> list[int] | list[list[int]] | None:
    """The named ids of every token from `start` on, where the request names them from a later token on."""
    named: Any = asked.named
    if not named or not isinstance(named[0], list):
        return asked.named
    before = [[0] * len(named[0])] * (asked.starts[number] - start)
    whole: list[list[int]] = [*before, *named]
    return whole


async def _ended(request: Request, runtime: Runtime, job_id: str, owner: str) -> Job:
    """Wait for a job. Raises ProblemError (503) if it takes too long, or if its caller has gone."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + runtime.settings.teacher_wait_seconds
    while True:
        job = await runtime.subscription.until(
            job_id,
            lambda: existing(runtime, job_id, owner),
            lambda seen: seen.state.terminal,
            min(_LOOK_SECONDS, deadline - loop.time()),
        )
        if job.state.terminal:
            return job
        if loop.time() >= deadline or await request.is_disconnected():
            raise unavailable("The scores took too long. Those that are done are kept: ask again.", 5)


def _rows(table: pa.Table, row: int) -> TokenRows:
    failure = table["error"][row].as_py()
    if failure is None:
        return TokenRows.of(table, row)
    why = f"Not scored ({failure['code']}): {failure['message']}"
    if failure["code"] == _CANCELLED:
        raise unavailable(why, 5)
    raise ProblemError(422, "Cannot be scored", why)


def _whole(asked: Asked, cut: Sequence[Part], fresh: Sequence[TokenRows | None]) -> list[ScoredSequence]:
    """Put the rows of every sequence together, those that it shares with others included."""
    whole: dict[int, ScoredSequence] = {}
    for number in scoring_order(cut):
        part, rows = cut[number], fresh[number]
        start = max(part.start, asked.starts[number])  # the response of a branch may begin before what is asked for
        if part.like is not None:
            other = whole[part.like]
            start = asked.starts[number]
            shared = other.rows.part(start - other.start, part.start - other.start)
            rows = shared if rows is None else shared.joined(rows)
        elif rows is not None:
            rows = rows.part(start - part.start, len(rows.logprobs))
        assert rows is not None, "a sequence without rows of its own has another's"
        whole[number] = ScoredSequence(asked.sequences[number], start, rows)
    return [whole[number] for number in range(len(cut))]
