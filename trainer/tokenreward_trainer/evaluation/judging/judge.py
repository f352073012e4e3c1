"""A judge behind any OpenAI-compatible endpoint: two answers go in, a preference comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tokenreward.errors import BadInput
from tokenreward_trainer.evaluation.judging.judge_prompt import VERSION, messages_for
from tokenreward_trainer.evaluation.judging.verdict import by_letter, by_probability
from tokenreward_trainer.scorers.http_post import Poster, Waiting, start_of

KEY = "JUDGE_API_KEY"
#: As many as OpenAI and vLLM give.
_TOP = 20


@dataclass(frozen=True)
class Judging:
    """How a judge is asked.

    Attributes:
        url: The base address of an OpenAI-compatible endpoint, as in http://127.0.0.1:8000/v1.
        model: The judge's name there.
        logprobs: Whether to weigh the letters by their probabilities, as AlpacaEval 2 does.
        max_tokens: The most tokens of a reply; a judge that thinks first needs more.
        parallel: Questions at once.

    Raises:
        BadInput: The address or a number cannot be used, or the judge's name is missing.
    """

    url: str
    model: str
    logprobs: bool = False
    max_tokens: int = 16
    parallel: int = 8

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"the judge's address {self.url!r} is not an http:// or https:// address")
        for name in ("max_tokens", "parallel"):
            if getattr(self, name) < 1:
                raise BadInput(f"the judge's {name} is {getattr(self, name)}: at least 1")
        if not self.model:
            raise BadInput(f"the judge at {self.url} needs a model: name it with --judge-model")

    @property
    def identity(self) -> dict[str, Any]:
        """What verdicts depend on. The address is no part of it: the same judge may be served elsewhere tomorrow."""
        return {"model": self.model, "logprobs": self.logprobs, "max_tokens": self.max_tokens, "words": VERSION}


@dataclass(frozen=True)
class Verdict:
    """What a judge said of two answers.

    Attributes:
        preference: For the answer shown first, in [0, 1]; None if the reply cannot be used.
        reply: The reply's text.
        tokens: Tokens read and written, as the endpoint counts them; 0 if it does not.
    """

    preference: float | None
    reply: str
    tokens: int = 0


class Judge:
    """Asks an endpoint. It may be used from several threads.

    Args:
        settings: How the judge is asked.
        waiting: How long to wait for it; None is the defaults.
    """

    def __init__(self, settings: Judging, waiting: Waiting | None = None) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/") + "/chat/completions"
        self._poster = Poster(self._url, KEY, "the judge", "verdict", waiting)

    def compare(self, prompt: str, first: str, second: str) -> Verdict:
        """Asks which of two answers is better.

        Args:
            prompt: The prompt as text.
            first: The answer shown first.
            second: The answer shown second.

        Raises:
            BadInput: The reply is no chat completion.
            ConnectionFailed: There is no answer in time.
        """
        settings = self._settings
        asked: dict[str, Any] = {
            "model": settings.model,
            "messages": messages_for(prompt, first, second),
            "temperature": 0,
            "max_tokens": settings.max_tokens,
        }
        if settings.logprobs:
            asked |= {"logprobs": True, "top_logprobs": _TOP}
        reply = self._poster.post(asked)
        try:
            content = reply.json()
            choice = content["choices"][0]
            text = choice["message"]["content"] or ""
            tokens = int((content.get("usage") or {}).get("total_tokens") or 0)
            found = self._by_probability(choice, text) if settings.logprobs else by_letter(text)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise BadInput(f"{self._url} answered no chat completion: {start_of(reply.text)}") from None
        return Verdict(found, text, tokens)

    def _by_probability(self, choice: dict[str, Any], text: str) -> float | None:
        if choice.get("logprobs") is None:
            raise BadInput(f"{self._url} gave no logprobs for {self._settings.model}: leave out --judge-logprobs")
        return by_probability(choice["logprobs"]["content"], text)
