"""How fast each engine labels with a model of Llama-3-8B's shape, and how much of the device's arithmetic that uses.

    python benchmarks/gpu_labeling.py [--shape llama-3-8b] [--engines vllm,transformers,...] [--size 200000] [--reps 3]

The checkpoint has random weights (speed does not depend on their values) and the demo model's tokenizer, so that
nothing is downloaded; 16 GB are written for the real shape, into `--keep DIR` or a scratch directory. Engines are
loaded one after the other, each in a process of its own. Model-FLOPs utilisation (MFU) is the arithmetic that the
work needs at the least (`_work.Work.flops`: what branches share counts once) over the time it took, against
`--peak-tflops`, by default what the vendor states for the device's dense bfloat16 matrices; on a CPU, what
`_matrix_rate.py` measures. Prints a table and writes build/gpu-labeling.json.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from _contenders import NAMES, Contender
from _report import ROOT, table, write
from _work import WORKLOADS, Work, workload
from transformers import AutoModelForCausalLM, LlamaConfig

from tokenreward.chat_format import ChatFormat
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Renderer

SHAPES: dict[str, dict[str, Any]] = {
    "llama-3-8b": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    },
    "tiny": {
        "vocab_size": 49_152,  # the tokenizer's; everything else as small as attention kernels take
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}

#: Dense bfloat16 TFLOP/s as the vendor's data sheets state them.
PEAK_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="llama-3-8b")
    parser.add_argument("--engines", default=",".join(NAMES), help="which of %(default)s")
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--size", type=int, default=200_000, help="tokens of a workload, as a plain scorer counts them")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--peak-tflops", type=float)
    parser.add_argument("--keep", type=Path, help="build the checkpoint here, or use the one that is there")
    options = parser.parse_args(argv)

    with _folder(options.keep) as folder:
        model = folder / options.shape
        if not (model / "config.json").exists():
            build(SHAPES[options.shape], model)
        config = json.loads((model / "config.json").read_text("utf-8"))
        peak = options.peak_tflops * 1e12 if options.peak_tflops else _peak(model)
        renderer = Renderer(ChatFormat.load(model), 4096, config["vocab_size"])
        works = {name: workload(name, renderer, options.size) for name in options.workloads.split(",")}
        for name, work in works.items():
            work.save(folder / f"{name}.jsonl")
        figures: dict[str, Any] = {"device": _device(), "shape": options.shape, "peak_tflops": peak / 1e12}
        for engine in options.engines.split(","):
            figures |= measured(engine, model, folder, works, options.reps, config, peak)
    table(f"{options.shape} on {figures['device']}", figures.items())
    print(write("gpu-labeling", figures))
    return 0


def build(shape: dict[str, Any], path: Path) -> None:
    """A checkpoint of that shape with random bfloat16 weights and the demo model's tokenizer."""
    say(f"builds {path.name}")
    config = LlamaConfig(**shape, max_position_embeddings=8192, tie_word_embeddings=False, dtype="bfloat16")
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(path)
    for file in resolve_model().path.iterdir():
        if file.name.startswith(("tokenizer", "special_tokens", "chat_template", "vocab", "merges")):
            shutil.copy(file, path / file.name)


def measured(
    engine: str, model: Path, folder: Path, works: dict[str, Work], reps: int, config: dict[str, Any], peak: float
) -> dict[str, Any]:
    """Figures of one engine; {"<engine>_absent": why} if it cannot be loaded here."""
    contender = Contender(engine)
    figures: dict[str, Any] = {}
    try:
        contender.load(model)
        for name in works:  # what is compiled or allocated on first use is not timed
            contender.run(folder / f"{name}.jsonl")
        for name, work in works.items():
            seconds = statistics.median(contender.run(folder / f"{name}.jsonl")["seconds"] for _ in range(reps))
            figures[f"{name}_{engine}_tokens_per_s"] = work.plain_tokens / seconds
            figures[f"{name}_{engine}_mfu"] = work.flops(config) / seconds / peak
            say(f"{engine}, {name}: {work.plain_tokens} tokens in {seconds:.2f} s")
    except SystemExit as why:
        say(str(why))
        return figures | {f"{engine}_absent": str(why)}
    finally:
        contender.close()
    return figures


def _peak(model: Path) -> float:
    """FLOP/s that MFU is a share of."""
    if not torch.cuda.is_available():
        probe = [sys.executable, str(ROOT / "benchmarks" / "_matrix_rate.py"), str(model)]
        return float(subprocess.run(probe, capture_output=True, text=True, check=True).stdout)
    name = _device()
    for known, peak in PEAK_TFLOPS.items():
        if re.search(rf"\b{known}\b", name):
            return peak * 1e12
    raise SystemExit(f"the peak rate of {name!r} is not known here; give --peak-tflops")


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
