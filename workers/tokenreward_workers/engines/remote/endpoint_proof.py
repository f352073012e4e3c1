"""Whether an endpoint tokenizes as we do, and serves the model that it served when the worker started.

Both are proved before an endpoint gets its first request, after it has been away, and once a minute while it is in use.
Nothing tells of a model that was swapped behind a name but its log-probs: so a fixed text is scored, and has to get the
log-probs that it got first, whichever endpoint scores it.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput
from tokenreward_workers.engines.remote.ask import Ask, UnusableAnswer, Wire
from tokenreward_workers.engines.remote.endpoint import Away, Endpoint, Refused
from tokenreward_workers.engines.remote.settings import RemoteSettings
from tokenreward_workers.scoring import LogProbs

log = logging.getLogger(__name__)

#: Ordinary text, digits, blanks and another script: what tokenizers split differently.
PROBE_TEXT = (
    "In 1969 the first people walked on the Moon; 384,400 km lie between it and us. It doesn't shine by itself.\n"
    "  Und wer misst nach?  Light needs about 1.28 seconds for the way (c = 299792458 m/s).\n"
    "\tЭто недалеко. 月はきれい."
)
#: Mean difference of the text's log-probs that another batch may make; bfloat16 makes 0.01 to 0.05 of well-known text.
NOISE = 0.1
_UNKNOWN = "unknown"
#: What to do about a model that was swapped behind its name.
SWAPPED_ADVICE = "give the worker another --model-name, or name the weights with --weights-hash"


class Swapped(BadInput):
    """An endpoint serves something else than this worker's fingerprint says."""


class NotReady(BadInput):
    """An endpoint does not serve what it has to. One that did before is being restarted."""


@dataclass(frozen=True, slots=True)
class Served:
    """What an endpoint says of itself.

    Attributes:
        model: The name to ask for.
        max_tokens: The longest prompt and response; None where it does not say.
        version: Of the server.
        tokenizer_hash: Of its tokenizer, where the endpoint is a tokenreward service.
    """

    model: str
    max_tokens: int | None
    version: str
    tokenizer_hash: str | None

    @property
    def tokenreward(self) -> bool:
        """Whether it is a tokenreward service."""
        return self.tokenizer_hash is not None


class EndpointProof:
    """Proves endpoints against each other, against our tokenizer, and against how they were.

    Args:
        settings: What the user said of them.
        chat: The tokenizer that makes our ids.

    Attributes:
        first: What the first endpoint said of itself; None until one was asked.
        rows: float32 `[T]`, the first log-probs of the fixed text; None until there are any.
        wire: Their wire.
        serving: Whether the worker has begun to serve. From then on, an endpoint that is not ready is waited for.
    """

    def __init__(self, settings: RemoteSettings, chat: ChatFormat, wire: Wire) -> None:
        self.first: Served | None = None
        self.rows: LogProbs | None = None
        self.wire = wire
        self.serving = False
        self._settings = settings
        self._chat = chat
        (ids,) = chat.tokenizer.encode([PROBE_TEXT])
        self._probe = Ask(ids, 1)

    async def prove(self, endpoint: Endpoint) -> None:
        """Prove one endpoint.

        Raises:
            Away: It cannot answer now.
            Swapped: It is not what it was, or not what the others are.
            NotReady: It does not serve what it has to, and the worker does not serve yet.
            BadInput: It has another tokenizer.
        """
        try:
            served = await self._served(endpoint)
            await self._check_tokenizer(endpoint, served)
            if self.first and served.version == _UNKNOWN != self.first.version:
                raise NotReady(f"{endpoint.url} does not say its version any more")
            if self.first is None:  # asked behind the last wait, as several endpoints are proved at once
                self.first = served
            if served != self.first:
                raise Swapped(
                    f"{endpoint.url} serves {served}, and this worker began with {self.first}: start it again"
                )
            await self._check_rows(endpoint, served)
        except NotReady as error:
            if not self.serving:
                raise
            raise Away(str(error)) from error

    async def _served(self, endpoint: Endpoint) -> Served:
        try:
            listed = await endpoint.get("/v1/models")
            cards = {card["id"]: card for card in listed["data"]}
        except Refused as error:
            raise NotReady(f"the endpoint does not list its models: {error}") from error
        except (KeyError, TypeError) as error:
            raise NotReady(f"{endpoint.url}/v1/models is not in OpenAI's shape: there is no {error}") from error
        name = self._settings.model or next(iter(cards), None)
        if name is None or name not in cards:
            known = ", ".join(cards) or "none"
            raise NotReady(f"{endpoint.url} serves no model {name!r}; it serves: {known}")
        longest = cards[name].get("max_model_len")
        own = next((info for info in listed.get("models", []) if info.get("name") == name), None)
        version = "" if own is None else f"tokenreward {own['fingerprint_digest']}"
        return Served(
            model=name,
            max_tokens=longest - 1 if isinstance(longest, int) else None,  # one is for the token that is generated
            version=version or await self._version(endpoint),
            tokenizer_hash=own and own["fingerprint"]["tokenizer_hash"],
        )

    async def _version(self, endpoint: Endpoint) -> str:
        for path, server in (("/version", "vllm"), ("/get_server_info", "sglang")):
            with contextlib.suppress(Refused):
                found = await endpoint.get(path)
                if isinstance(found, dict) and isinstance(found.get("version"), str):
                    return f"{server} {found['version']}"
        return _UNKNOWN

    async def _check_tokenizer(self, endpoint: Endpoint, served: Served) -> None:
        if served.tokenizer_hash is not None:
            if served.tokenizer_hash != self._chat.hash:
                raise self._other_tokenizer(endpoint, f"hash {served.tokenizer_hash}", f"hash {self._chat.hash}")
            return
        body = {"model": served.model, "prompt": PROBE_TEXT, "add_special_tokens": False}
        try:
            told: Any = await endpoint.post("/tokenize", body)
            ids = list(told["tokens"])
        except (Refused, KeyError, TypeError) as error:
            raise NotReady(
                f"{endpoint.url} does not tokenize a text for us ({error}), so its tokenizer cannot be proved to be "
                "that of --model; let its router pass POST /tokenize on"
            ) from error
        if ids != self._probe.ids:
            ours = self._probe.ids
            differing = (n for n, (a, b) in enumerate(zip(ids, ours, strict=False)) if a != b)
            place = next(differing, min(len(ids), len(ours)))
            theirs = f"{ids[place : place + 4]} at token {place} of a text"
            raise self._other_tokenizer(endpoint, theirs, f"{ours[place : place + 4]}")

    def _other_tokenizer(self, endpoint: Endpoint, theirs: str, ours: str) -> BadInput:
        return BadInput(
            f"{endpoint.url} has another tokenizer than --model: {theirs}, not {ours}; give the directory or hub name "
            "of the model that the endpoint serves"
        )

    async def _check_rows(self, endpoint: Endpoint, served: Served) -> None:
        try:
            answer = await endpoint.post(self.wire.path, self.wire.body([self._probe], served.model, None))
            (rows,) = self.wire.rows(answer, [self._probe])
        except (Refused, UnusableAnswer) as error:
            raise NotReady(f"{endpoint.url} does not score over this wire: {error}") from error
        if rows is None:
            raise NotReady(f"{endpoint.url} did not score every token of the probe text")
        if self.rows is None:
            self.rows = rows.logprobs
            return
        apart = float(np.abs(rows.logprobs - self.rows).mean())
        if not apart <= NOISE:
            raise Swapped(
                f"{endpoint.url} gives a fixed text log-probs that are {apart:.3g} apart (mean) from those at the "
                f"start, where {NOISE:g} may be noise: it serves another model than this worker's fingerprint says; "
                f"{SWAPPED_ADVICE}"
            )
