"""Any HTTP endpoint as a scorer. It is sent `{"items": [{"prompt", "response"}, ...]}` and answers `{"scores": [...]}`.

`prompt` is text or messages as in the prompts file, a score is a number or null (cannot be scored), one for each
item in order. The key in SCORER_API_KEY, if there is one, goes along as `Authorization: Bearer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_trainer.scorers.base import Group
from tokenreward_trainer.scorers.http_post import Poster, Waiting, start_of

_KEY = "SCORER_API_KEY"
#: Responses in one request.
_BATCH = 32


class Endpoint:
    """Scores by an HTTP endpoint.

    Args:
        url: Its http:// or https:// address.
        waiting: How long to wait for it; None is the defaults.
    """

    def __init__(self, url: str, waiting: Waiting | None = None) -> None:
        self._url = url
        self._poster = Poster(url, _KEY, "the scorer", "scores", waiting)
        self.identity = {"scorer": "http", "url": url}

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Returns one score for each response of each group.

        Raises:
            BadInput: The endpoint refuses, or answers something else than scores.
            ConnectionFailed: It gives no answer in time.
        """
        items = [{"prompt": group.prompt, "response": text} for group in groups for text in group.responses]
        scores: list[float | None] = []
        for start in range(0, len(items), _BATCH):
            scores += self._scores(items[start : start + _BATCH])
        found = iter(scores)
        return [[next(found) for _ in group.responses] for group in groups]

    def _scores(self, items: Sequence[dict[str, Any]]) -> list[float | None]:
        reply = self._poster.post({"items": list(items)})
        try:
            scores = reply.json()["scores"]
        except (ValueError, KeyError, TypeError):
            raise BadInput(f'{self._url} answered no {{"scores": [...]}}: {start_of(reply.text)}') from None
        numbers = isinstance(scores, list) and all(s is None or type(s) in (int, float) for s in scores)
        if not numbers or len(scores) != len(items):
            raise BadInput(
                f"{self._url} did not answer one number or null for each of {len(items)} items: {start_of(reply.text)}"
            )
        return [None if score is None else float(score) for score in scores]
