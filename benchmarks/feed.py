"""How well one worker keeps its engine fed, from a job's first second on, through the whole service.

    python benchmarks/feed.py [--rates 80000 250000 1000000] [--seconds 20] [--cores 2]

A real valkey-server (append-only, synced before every answer), a real API process and a real worker with the engine
`synthetic`, which takes the time that a GPU of so many tokens a second would take and computes nothing. The worker
tokenizes with the demo model's tokenizer; items are prompts of some 200 and responses of some 300 tokens under two
branches. Everything runs on the same two cores.

The share is tokens scored over what the engine could have scored: rate x wall time from the moment at which the job was
queued. `feed_first_10s` is of the first ten seconds, the first claim and the first tokenization included, and
`feed_busy_share` of the time after the first two. The highest rate has no bar: it shows what gives way first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks._report import table, write
from benchmarks._usage import Usage
from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import wait_for
from tokenreward.protocol import keys
from tokenreward_workers.model_files.resolve import resolve_model

_TEXT = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were her all she there would their we him been has when who will more no if out so said what up its about "
    "into than them can only other new some could time these two may then do first any my now such like our over man"
)
_WORDS = _TEXT.split()
_PROMPT_WORDS, _RESPONSE_WORDS = 180, 270
#: Plain tokens of an item, about: two branches, each with the prompt, the template and the response.
_ITEM_TOKENS = 1_100
_START_SECONDS, _FIRST_SECONDS = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """What the worker's record said. at: Unix seconds; tokens: plain tokens scored until then."""

    at: float
    tokens: float


def items(count: int) -> bytes:
    """The body of a job, as NDJSON. Every text is its own, so that nothing comes out of a cache."""
    chance = random.Random(0)
    return b"".join(
        json.dumps(
            {
                "id": str(n),
                "prompt": " ".join(chance.choices(_WORDS, k=_PROMPT_WORDS)),
                "response": " ".join(chance.choices(_WORDS, k=_RESPONSE_WORDS)),
            }
        ).encode()
        + b"\n"
        for n in range(count)
    )


def tokens_at(looks: Sequence[Look], at: float) -> float:
    """The tokens scored by then, between two looks in proportion."""
    before = max((look for look in looks if look.at <= at), key=lambda look: look.at)
    after = min((look for look in looks if look.at > at), key=lambda look: look.at)
    return before.tokens + (after.tokens - before.tokens) * (at - before.at) / (after.at - before.at)


def measure(rate: float, seconds: float, tokenizer: Path) -> dict[str, Any]:
    """One rate, from nothing."""
    body = items(round(rate * (seconds + 4) / _ITEM_TOKENS))
    settings = {
        "TOKENREWARD_SYNTHETIC_TOKENS_PER_SECOND": str(rate),
        "TOKENREWARD_SYNTHETIC_TOKENIZER": str(tokenizer),
    }
    with tempfile.TemporaryDirectory(prefix="tokenreward-feed-") as folder, Stack(Path(folder), settings) as stack:
        stack.start_api()
        worker = stack.start_worker()
        stack.wait_ready()
        (name,) = stack.redis.zrange(keys.WORKERS, 0, -1)
        record = keys.worker(name.decode())

        def look() -> Look:
            told = json.loads(stack.redis.get(record) or b"{}")
            return Look(told["seen"], told["tokens"])

        looks = [look()]
        headers = {"content-type": "application/x-ndjson"}
        answer = httpx2.post(stack.url + "/v1/jobs", content=body, headers=headers, timeout=120, trust_env=False)
        assert answer.status_code == 202, answer.text
        usage = Usage(stack, worker=worker.pid)
        created = answer.json()["created_at"]

        def long_enough() -> bool:
            if (now := look()).at > looks[-1].at:
                looks.append(now)
            return now.at > created + seconds

        wait_for(long_enough, 2 * seconds + 60, "the end of the measurement")
        used = usage.shares()
        done = httpx2.get(stack.url + "/v1/jobs/" + answer.json()["id"], timeout=30, trust_env=False).json()
    first = tokens_at(looks, created + _FIRST_SECONDS)
    start = tokens_at(looks, created + _START_SECONDS)
    steady = (looks[-1].tokens - start) / (rate * (looks[-1].at - created - _START_SECONDS))
    return {
        "rate": rate,
        "busy_share": steady,
        "first_10s": first / (rate * _FIRST_SECONDS),
        "tokens_left": done["done_items"] < done["total_items"],
        **used,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[80_000, 250_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=20, help="length of each measurement")
    parser.add_argument("--cores", type=int, default=2, help="cores that everything together may use")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    tokenizer = resolve_model("demo").path
    rows = []
    for rate in arguments.rates:
        rows.append(measure(rate, arguments.seconds, tokenizer))
        print(json.dumps(rows[-1]), flush=True)
        assert rows[-1]["tokens_left"], "the work ran out before the measurement ended"
    figures = {
        "feed_busy_share": {f"{row['rate']:.0f}": row["busy_share"] for row in rows},
        "feed_first_10s": {f"{row['rate']:.0f}": row["first_10s"] for row in rows},
        "cores": arguments.cores,
        "rows": rows,
    }
    table(
        "feed", [(f"{row['rate']:,.0f} tokens/s", f"{row['busy_share']:.3f}, {row['first_10s']:.3f}") for row in rows]
    )
    write("feed", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
