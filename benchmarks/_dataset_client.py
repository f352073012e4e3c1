"""A training job's side of `scale.py`: sends jobs and reads their results at the same time.

    python benchmarks/_dataset_client.py URL REDIS_URL SHARDS_AHEAD ITEMS_PER_JOB

Keeps about SHARDS_AHEAD shards waiting in the queue (a job more is sent whenever there are fewer), and reads every
job's results as NDJSON while it runs, as the SDK does. It looks at the lines' indices and does not parse their numbers,
which would be the trainer's own work. A line of JSON every half a second says how many items were accepted and read.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import httpx2
import redis.asyncio

from tokenreward.protocol import keys

#: Some 200 tokens of prompt and 300 of response, at four characters a token.
_PROMPT, _RESPONSE = "Why is that so? " * 50, "Because it was so before. " * 46
_OPTIONS = {"template": "opposite", "estimator": "contrast"}
_BLOCK = 1 << 18


class Reader:
    """What was accepted and read so far."""

    def __init__(self, url: str, redis_url: str, ahead: int, each: int) -> None:
        self.accepted = self.read = 0
        self._http = httpx2.AsyncClient(base_url=url, timeout=120, trust_env=False)
        self._redis = redis.asyncio.Redis.from_url(redis_url)
        self._ahead = ahead
        self._each = each
        lines = [json.dumps({"id": str(n), "prompt": f"{n} {_PROMPT}", "response": _RESPONSE}) for n in range(each)]
        self._body = ("\n".join(lines) + "\n").encode()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        while True:
            if await self._waiting() < self._ahead:
                job = await self._send()
                self._tasks.add(asyncio.create_task(self._follow(job)))
            for task in [task for task in self._tasks if task.done()]:
                task.result()
                self._tasks.discard(task)
            await asyncio.sleep(0.1)

    async def _waiting(self) -> int:
        names = await self._redis.hkeys(keys.MODELS)
        return sum([await self._redis.zcard(keys.queued(name.decode())) for name in names])

    async def _send(self) -> str:
        async def body() -> Any:
            for i in range(0, len(self._body), _BLOCK):
                yield self._body[i : i + _BLOCK]

        headers = {"content-type": "application/x-ndjson"}
        while True:
            answer = await self._http.post("/v1/jobs", params=_OPTIONS, content=body(), headers=headers)
            if answer.status_code != 429:
                break
            await asyncio.sleep(0.5)
        assert answer.status_code == 202, answer.text
        self.accepted += self._each
        return str(answer.json()["id"])

    async def _follow(self, job: str) -> None:
        at = 0
        while at < self._each:
            headers = {"Prefer": "wait=10"}
            url = f"/v1/jobs/{job}/results"
            before = at
            async with self._http.stream("GET", url, params={"from": at}, headers=headers) as answer:
                assert answer.status_code == 200, await answer.aread()
                rest = b""
                async for block in answer.aiter_raw():
                    *lines, rest = (rest + block).split(b"\n")
                    for line in lines:
                        if line.startswith(b'{"index":%d,' % at):
                            at += 1
                            self.read += 1
                        else:
                            assert line.startswith(b'{"next":%d' % at), line[:100]
            await asyncio.sleep(0.0 if at > before else 0.2)  # as the SDK does


async def main() -> None:
    reader = Reader(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    running = asyncio.create_task(reader.run())
    while True:
        if running.done():
            running.result()
        print(json.dumps({"at": time.monotonic(), "accepted": reader.accepted, "read": reader.read}), flush=True)
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main())
