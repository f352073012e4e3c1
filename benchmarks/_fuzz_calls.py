"""How the fuzz benchmark calls the API, and what it counts of the answers."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import httpx2

JSON, NDJSON = "application/json", "application/x-ndjson"
TIMEOUT = 20.0
ENVIRONMENT = {
    "TOKENREWARD_LABEL_WAIT_SECONDS": "2",
    "TOKENREWARD_TEACHER_WAIT_SECONDS": "2",
    "TOKENREWARD_JOB_TTL_SECONDS": "120",
}
Pair = tuple[str, str, int]


class Tally:
    """What came back, by documented operation and status."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.documented: set[Pair] = set()
        self.seen: Counter[Pair] = Counter()
        self.requests = self.hangs = 0
        self.bad: list[str] = []
        self._routes: list[tuple[str, re.Pattern[str], str]] = []
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")
                self._routes.append((method.upper(), pattern, path))
                self.documented |= {(method.upper(), path, int(status)) for status in operation["responses"]}

    def note(self, method: str, path: str, status: int, *, may_be_down: bool = False) -> None:
        self.requests += 1
        route = next((r for m, pattern, r in self._routes if m == method and pattern.match(path)), None)
        if status > 503 or 500 <= status < 503 or (status == 503 and not may_be_down and route != "/readyz"):
            self.bad.append(f"{method} {path}: {status}")
        if route is not None:
            self.seen[method, route, status] += 1
            if status < 500 and (method, route, status) not in self.documented and status != 405:
                self.bad.append(f"{method} {path}: {status} is not documented")

    @property
    def missing(self) -> list[Pair]:
        return sorted(self.documented - self.seen.keys())

    @property
    def coverage(self) -> float:
        return len(self.documented & self.seen.keys()) / len(self.documented)


class Caller:
    """An HTTP client that counts. down: whether a 503 is what is being tested."""

    def __init__(self, url: str, tally: Tally, *, down: bool = False, **headers: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=TIMEOUT, headers=headers)
        self._tally = tally
        self._down = down

    def __call__(self, method: str, path: str, **options: Any) -> httpx2.Response | None:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TimeoutException:
            self._tally.hangs += 1
            return None
        self._tally.note(method, answer.url.path, answer.status_code, may_be_down=self._down)
        return answer

    def answer(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Where what follows needs one."""
        answer = self(method, path, **options)
        assert answer is not None, f"{method} {path} hangs"
        return answer
