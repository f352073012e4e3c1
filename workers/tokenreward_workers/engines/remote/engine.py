"""Endpoints behind the scoring seam: scorings in, requests out, rows back, in the order in which they are done.

`score` runs in the worker's thread; the requests run in an event loop in a thread of its own. While an endpoint is
away, its requests wait and are sent again, and the engine goes on showing progress: the worker is alive, and its work
is not given to others who may have the same endpoints.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput
from tokenreward.schema.provenance import REMOTE
from tokenreward_workers.engines.base import (
    WORTH_SENDING_AHEAD,
    EngineDied,
    EngineInfo,
    EngineStats,
    Feed,
    Key,
    Outcome,
)
from tokenreward_workers.engines.remote.ask import Ask, UnusableAnswer, Wire
from tokenreward_workers.engines.remote.cache_salts import CacheSalts
from tokenreward_workers.engines.remote.endpoint import Away, Endpoint, Refused
from tokenreward_workers.engines.remote.endpoint_pool import EndpointPool
from tokenreward_workers.engines.remote.endpoint_proof import EndpointProof, Served
from tokenreward_workers.engines.remote.settings import RemoteSettings
from tokenreward_workers.engines.remote.wires.sglang import SglangWire
from tokenreward_workers.engines.remote.wires.vllm_completions import CompletionsWire
from tokenreward_workers.engines.remote.wires.vllm_tokens import TokensWire
from tokenreward_workers.scoring import LogProbs, Row, Scored, Scoring, ScoringFailed, checked

#: What a fingerprint says of weights and arithmetic that nobody vouches for.
UNVERIFIED = "unverified"
_STEP_SECONDS = 0.5

T = TypeVar("T")


class RemoteEngine:
    """See the module.

    Args:
        settings: Where the endpoints are.
        chat: The tokenizer that makes our ids.
        vocabulary: Ids are in `[0, vocabulary)`.
        max_tokens: The longest prompt and response; None for what the endpoint says.

    Raises:
        BadInput: An endpoint cannot be used, or none answers.
    """

    def __init__(
        self, settings: RemoteSettings, chat: ChatFormat, vocabulary: int, max_tokens: int | None = None
    ) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoints", daemon=True)
        self._thread.start()
        self._salts = CacheSalts()
        self._proof = EndpointProof(settings, chat, _wire(settings))
        try:
            self._pool = self._wait(self._opened())
        except BaseException:
            self.close()
            raise
        self._proof.serving = True
        served = self._served
        longest = min(filter(None, (served.max_tokens, max_tokens)), default=None)
        if longest is None:
            self.close()
            raise BadInput(f"{settings.endpoints[0]} does not say how long a sequence may be: give --max-tokens")
        self.info = EngineInfo(
            name=REMOTE,
            version=f"{served.version} over {settings.wire}",
            dtype=UNVERIFIED,
            max_tokens=longest,
            vocabulary=vocabulary,
            head_dtype=UNVERIFIED,
            model=served.model,
            weights=settings.weights or UNVERIFIED,
            lacks=self._proof.wire.never,
        )
        self.stats = EngineStats()

    @property
    def adapters(self) -> Sequence[str]:
        return ()

    @property
    def reference(self) -> LogProbs:
        """The first log-probs of the fixed text that endpoints are proved with, float32 `[T]`."""
        assert self._proof.rows is not None
        return self._proof.rows

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        done: queue.SimpleQueue[Key] = queue.SimpleQueue()
        running: dict[Key, Future[Outcome]] = {}
        ended = False
        try:
            while True:
                while not ended and len(running) < self._pool.places:
                    given = feed.take(1, wait=not running)
                    ended = given is None
                    for key, scoring in given or ():
                        running[key] = self._begin(key, scoring, done)
                    if not given:
                        break
                if not running and ended:
                    return
                started = time.monotonic()
                keys = _finished(done)
                self.stats.busy_seconds += time.monotonic() - started
                for key in keys:
                    future = running.pop(key, None)
                    if future is not None and not future.cancelled():
                        yield key, future.result()
                for key in feed.step():
                    if (dropped := running.pop(key, None)) is not None:
                        dropped.cancel()
        finally:
            for future in running.values():
                future.cancel()

    def restart(self) -> None:
        if not self._thread.is_alive():
            raise EngineDied("the engine was closed")
        self.stats.restarts += 1

    def close(self) -> None:
        if self._thread.is_alive():
            self._wait(self._ended())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    async def _ended(self) -> None:
        """End what is under way."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if pool := getattr(self, "_pool", None):
            await pool.aclose()

    async def _opened(self) -> EndpointPool:
        """The endpoints, proved, and the wire that fits them."""
        endpoints = [Endpoint(url, self._settings) for url in self._settings.endpoints]
        pool = EndpointPool(endpoints, self._settings.requests, self._proof)
        try:
            await self._proved_wire(pool)
        except Away as error:
            await pool.aclose()
            raise BadInput(str(error)) from error
        return pool

    async def _proved_wire(self, pool: EndpointPool) -> None:
        wire = self._proof.wire
        try:
            await pool.prove_first(self._settings.start_seconds)
        except BadInput as error:
            # A server with vLLM's V1 model runner scores no tokens by name, and says so.
            refused = error.__cause__
            if not (isinstance(wire, TokensWire) and isinstance(refused, Refused) and refused.status == 400):
                raise
            self._proof.wire = TokensWire(named=False)
            await pool.prove_first(self._settings.start_seconds)

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _begin(self, key: Key, scoring: Scoring, done: queue.SimpleQueue[Key]) -> Future[Outcome]:
        future = asyncio.run_coroutine_threadsafe(self._scored(scoring), self._loop)
        future.add_done_callback(lambda _: done.put(key))
        return future

    async def _scored(self, scoring: Scoring) -> Outcome:
        """Score one response under its branches."""
        if (lacking := self._proof.wire.lacks(scoring.wanted)) is not None:
            return ScoringFailed("engine_error", f"the remote engine's wire does not give {lacking}")
        asks = {
            branch: Ask([*scoring.prefix, *rest, *scoring.response], len(scoring.prefix) + len(rest), scoring.wanted)
            for branch, rest in scoring.branches.items()
        }
        try:
            rows = await self._rows(scoring.prefix, list(asks.values()))
        except (Refused, UnusableAnswer) as error:
            return ScoringFailed("engine_error", str(error))
        found: Scored = {}
        for branch, row in zip(asks, rows, strict=True):
            if row is None:
                return ScoringFailed("engine_error", "the endpoint did not compute every log-prob")
            found[branch] = row
        self.stats.branches += len(found)
        self.stats.tokens += scoring.tokens
        self.stats.computed_tokens += scoring.tokens
        return checked(found, len(scoring.response), scoring.wanted)

    async def _rows(self, prefix: tuple[int, ...], asks: list[Ask]) -> list[Row | None]:
        wire = self._proof.wire
        if wire.several:
            return await self._asked(asks, None)
        salts = [self._salts.of(ask) for ask in asks]
        try:
            await self._send_ahead(prefix, salts)
            found = await asyncio.gather(*(self._asked([ask], salt) for ask, salt in zip(asks, salts, strict=True)))
        finally:
            for ask, salt in zip(asks, salts, strict=True):
                self._salts.answered(ask, salt)
        return [row for (row,) in found]

    async def _send_ahead(self, prefix: tuple[int, ...], salts: list[str]) -> None:
        """Fill the endpoint's cache with what several branches begin with."""
        wire, salt = self._proof.wire, self._salts.present
        if self._served.tokenreward or not isinstance(wire, TokensWire):  # a tokenreward shares prefixes by itself
            return
        if salts.count(salt) < 2 or len(prefix) < WORTH_SENDING_AHEAD:
            return
        if self._salts.may_go_ahead(prefix):
            await self._post(wire.path, wire.prefix(list(prefix), self._model, salt))

    async def _asked(self, asks: list[Ask], salt: str | None) -> list[Row | None]:
        """Ask for the rows; once more, without the cache, for those that it covered."""
        wire = self._proof.wire
        if salt is not None:
            try:
                answer = await self._post(wire.path, wire.body(asks, self._model, salt), cached=True)
                rows = wire.rows(answer, asks)
            except Refused as error:
                # vLLM's V1 runner leaves the rows of a cached prefix uninitialised, and NaN has no JSON form. Its
                # answer is a 500 then, or a 400.
                if error.status not in (400, 500):
                    raise
                rows = [None]
            if all(row is not None for row in rows):
                return rows
            self.stats.rescored += len(asks)
        return wire.rows(await self._post(wire.path, wire.body(asks, self._model, None)), asks)

    async def _post(self, path: str, body: Any, *, cached: bool = False) -> Any:
        answer = await self._pool.post(path, body, cached=cached)
        self.stats.steps += 1
        return answer

    @property
    def _served(self) -> Served:
        assert self._proof.first is not None
        return self._proof.first

    @property
    def _model(self) -> str:
        return self._served.model


def _wire(settings: RemoteSettings) -> Wire:
    if settings.wire == "vllm-generate":
        return TokensWire(named=True)
    return CompletionsWire() if settings.wire == "vllm" else SglangWire()


def _finished(done: queue.SimpleQueue[Key]) -> list[Key]:
    """Everything that is done, after a short wait if nothing is."""
    keys = []
    try:
        keys.append(done.get(timeout=_STEP_SECONDS))
        while True:
            keys.append(done.get_nowait())
    except queue.Empty:
        return keys
