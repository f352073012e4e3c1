"""Redis memory per million response tokens: a finished job with contrast rewards, with and without log-probs.

    python benchmarks/memory.py

Sizes are what counts, so the synthetic engine does: 1,000 items of 300 tokens of random letters, whose rewards are
random too and do not compress. `cache` is what the log-prob cache takes beside that, while it is on. `kb_per_item` is
what an item waits with: 2,000 characters of this project's documentation, which compresses as prose does.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._report import ROOT, table, write
from benchmarks.harness.stack import Stack, http, running
from benchmarks.harness.waiting import wait_for

ITEMS, TOKENS = 1000, 300


def prose(stack: Stack) -> float:
    """Kilobytes an item of 2,000 characters takes in Redis."""
    text = "".join(path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    pieces = [text[n : n + 2000] for n in range(0, len(text) - 2000, 2000)]
    items = [{"prompt": piece[:800], "response": piece[800:]} for piece in pieces]
    job = http.post(stack.url + "/v1/jobs", json={"items": items}, timeout=60).json()
    return float(stack.redis.memory_usage(f"tr:job:{job['id']}:items", samples=0) or 0) / len(items) / 1000


def main() -> int:
    chance = random.Random(0)
    figures: dict[str, float] = {}
    words = [chance.choice("abcdefghijklmnopqrstuvwxyz ") for _ in range(TOKENS * ITEMS)]
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), TOKENREWARD_CACHE_TTL_SECONDS="0") as stack:
        items = [
            {"prompt": "p" * 200, "response": "".join(words[n * TOKENS : (n + 1) * TOKENS - 1])} for n in range(ITEMS)
        ]
        for name, include in (("rewards", []), ("rewards_and_logprobs", ["logprobs"])):
            before = stack.redis.info("memory")["used_memory"]
            job = http.post(stack.url + "/v1/jobs", json={"items": items, "include": include}, timeout=60).json()
            wait_for(
                lambda j=job: http.get(f"{stack.url}/v1/jobs/{j['id']}").json()["state"] == "succeeded",
                120,
                "the job",
            )
            used = stack.redis.info("memory")["used_memory"] - before
            figures[f"mb_per_million_tokens_{name}"] = used / (ITEMS * TOKENS)
        figures["kb_per_item"] = prose(stack)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack:
        before = stack.redis.info("memory")["used_memory"]
        job = http.post(stack.url + "/v1/jobs", json={"items": items}, timeout=60).json()
        wait_for(
            lambda: http.get(f"{stack.url}/v1/jobs/{job['id']}").json()["state"] == "succeeded", 120, "the cached job"
        )
        time.sleep(2)  # the last shard's log-probs follow its commit
        used = (stack.redis.info("memory")["used_memory"] - before) / (ITEMS * TOKENS)
        figures["mb_per_million_tokens_cache"] = used - figures["mb_per_million_tokens_rewards"]
    table("memory", figures.items())
    write("memory", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
