"""`python benchmarks/_matrix_rate.py MODEL`: prints the bfloat16 FLOP/s of this machine at the model's shapes.

One layer's matrices and a share of the LM head, 1,024 rows at a time, weighted as a forward pass uses them; the
median of the passes that fit into a second and a half.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch


def main() -> None:
    config = json.loads((Path(sys.argv[1]) / "config.json").read_text("utf-8"))
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    size = config.get("head_dim") or hidden // heads
    keys = config.get("num_key_value_heads", heads) * size
    rows = 1024
    # (rows, in, out): as often as a layer has them, and the LM head as often as there are layers to one of it.
    layer = [(rows, hidden, heads * size), (rows, hidden, keys), (rows, hidden, keys), (rows, heads * size, hidden)]
    layer += [(rows, hidden, inner), (rows, hidden, inner), (rows, inner, hidden)]
    head_rows = max(1, rows // (2 * config["num_hidden_layers"]))
    shapes = [*layer, (head_rows, hidden, config["vocab_size"])]
    pairs = [(torch.randn(r, i, dtype=torch.bfloat16), torch.randn(o, i, dtype=torch.bfloat16)) for r, i, o in shapes]
    flops = sum(2 * r * i * o for r, i, o in shapes)
    times: list[float] = []
    deadline = time.perf_counter() + 2.0
    with torch.inference_mode():
        while time.perf_counter() < deadline:
            started = time.perf_counter()
            for one, other in pairs:
                torch.nn.functional.linear(one, other)
            times.append(time.perf_counter() - started)
    print(flops / statistics.median(times[len(times) // 4 :]))


if __name__ == "__main__":
    main()
