"""`make demo`: runs `tokenreward demo` and writes down how long it took.

python benchmarks/demo.py [--engine vllm]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from benchmarks._report import ROOT, write


def main() -> int:
    started = time.monotonic()
    out = ROOT / "build" / "demo"
    status = subprocess.run(
        [sys.executable, "-m", "tokenreward.cli", "demo", "--out", str(out), *sys.argv[1:]], check=False
    ).returncode
    if status == 0:
        rows = [json.loads(line) for line in (out / "labeled.jsonl").read_text("utf-8").splitlines()]
        rewards = [reward for row in rows for reward in row["token_rewards"]]
        figures = {
            "seconds": time.monotonic() - started,
            "items": len(rows),
            "tokens": len(rewards),
            "helped": sum(reward > 0 for reward in rewards),
            "hurt": sum(reward < 0 for reward in rewards),
            "page": str((out / "labeled.html").relative_to(ROOT)),
        }
        write("demo", figures)
    return status


if __name__ == "__main__":
    sys.exit(main())
