"""Redis memory per million response tokens: a finished job with contrast rewards, with and without log-probs.

    python benchmarks/memory.py

Sizes are what counts, so the synthetic engine does: 1,000 items of 300 tokens of random letters, whose rewards are
random too and do not compress.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]

from _report import table, write  # noqa: E402
from stack import http, running, wait_for  # noqa: E402

ITEMS, TOKENS = 1000, 300


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
    table("memory", figures.items())
    write("memory", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
