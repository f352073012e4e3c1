"""An engine that scores nothing: log-probs out of a hash, at a set rate. For fault and scale runs only.

It has to be asked for by name and its name stands in every provenance. The same branch and response give the
same log-probs in every process, so that a run with faults can be compared with one without. It comes with a
byte-level tokenizer of its own and needs neither torch nor transformers: a worker with it starts in a second.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tokenreward.chat_format import ChatFormat
from tokenreward.chat_format.byte_level import byte_level_table
from tokenreward.errors import BadInput
from tokenreward_workers.engines.base import EngineInfo, EngineStats, OnStep, nothing_dropped
from tokenreward_workers.scoring import Scored, Scoring, ScoringFailed

NAME = "synthetic"
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCABULARY = 256 + len(_SPECIAL)
_CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class SyntheticSettings:
    """rate: responses per second, 0 for as fast as it goes.  step_seconds: how often it reports at the latest.

    poison: a response that contains these ids, one after the other, kills the process (SIGKILL) when its turn
    comes; None: none does.  bug: a response that contains these makes it raise, as a bug in an engine would.
    """

    rate: float = 0.0
    step_seconds: float = 0.5
    poison: tuple[int, ...] | None = None
    bug: tuple[int, ...] | None = None
    max_tokens: int = 32_768

    @classmethod
    def from_environment(cls) -> SyntheticSettings:
        """TOKENREWARD_SYNTHETIC_RATE, and _POISON and _BUG (text, or ids as a JSON list)."""
        rate = os.environ.get("TOKENREWARD_SYNTHETIC_RATE") or "0"
        try:
            return cls(rate=float(rate), poison=_ids("POISON"), bug=_ids("BUG"))
        except ValueError:
            raise BadInput("TOKENREWARD_SYNTHETIC_RATE: Input should be a number") from None


class SyntheticEngine:
    """See the module. Raises nothing of its own but by a bug, and never dies but by poison."""

    def __init__(self, settings: SyntheticSettings | None = None) -> None:
        self.settings = settings or SyntheticSettings.from_environment()
        self.info = EngineInfo(NAME, "1", "float32", self.settings.max_tokens, VOCABULARY)
        self.stats = EngineStats()

    def score(
        self, work: Sequence[Scoring], on_step: OnStep = nothing_dropped
    ) -> Iterator[tuple[int, Scored | ScoringFailed]]:
        dropped: set[int] = set()
        due = time.monotonic()
        for index, scoring in enumerate(work):
            if index in dropped:
                continue
            if _contains(scoring.response, self.settings.poison):
                os.kill(os.getpid(), signal.SIGKILL)
            if _contains(scoring.response, self.settings.bug):
                raise RuntimeError("a bug, as TOKENREWARD_SYNTHETIC_BUG asks for")
            started = time.monotonic()
            due = max(due, started - 1.0) + (1.0 / self.settings.rate if self.settings.rate else 0.0)
            while (remaining := due - time.monotonic()) > 0:
                time.sleep(min(remaining, self.settings.step_seconds))
                dropped.update(on_step())
            dropped.update(on_step())
            self.stats.busy_seconds += time.monotonic() - started
            if index not in dropped:
                self.stats.tokens += scoring.tokens
                self.stats.computed_tokens += scoring.tokens
                yield index, _log_probs(scoring)

    def restart(self) -> None:
        self.stats.restarts += 1

    def close(self) -> None:
        pass


def chat_format() -> ChatFormat:
    """One id per byte, and ChatML."""
    added = [
        {"id": 256 + n, "content": text, "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for n, text in enumerate(_SPECIAL)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    vocabulary = byte_level_table() | {text: 256 + n for n, text in enumerate(_SPECIAL)}
    content = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    return ChatFormat(json.dumps(content), _CHAT_TEMPLATE, {"eos_token": "<|im_end|>"})


def _ids(name: str) -> tuple[int, ...] | None:
    text = os.environ.get(f"TOKENREWARD_SYNTHETIC_{name}")
    if not text:
        return None
    return tuple(json.loads(text)) if text.startswith("[") else tuple(text.encode("utf-8"))


def _contains(response: tuple[int, ...], ids: tuple[int, ...] | None) -> bool:
    if not ids:
        return False
    return any(response[n : n + len(ids)] == ids for n in range(len(response) - len(ids) + 1))


def _log_probs(scoring: Scoring) -> Scored:
    """Per branch, a repeatable float32 [T] in (-8, 0]."""
    scored = {}
    for name, rest in scoring.branches.items():
        content = np.array([*scoring.prefix, *rest, -1, *scoring.response], dtype=np.int64).tobytes()
        seed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
        scored[name] = -np.random.default_rng(seed).random(len(scoring.response), dtype=np.float32) * np.float32(8)
    return scored
