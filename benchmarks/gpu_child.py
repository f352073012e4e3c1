"""What the parts of `make gpu` share: how a part says its figures, and how it learns what the card draws."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward_workers.engines.flops import peak_flops
from tokenreward_workers.scoring import Scoring

RESULT = "RESULT "


@dataclass(frozen=True, slots=True)
class Job:
    """What a part is told.

    Attributes:
        folder: Holds the model directories (`8b`, `1b`) and `work`, the workloads as JSONL.
        tiny: Whether the models are toys, on a CPU.
    """

    folder: Path
    tiny: bool

    @property
    def repetitions(self) -> int:
        """How often what is timed is done."""
        return 1 if self.tiny else 3

    def model(self, name: str) -> Path:
        """Return the directory of a model."""
        return self.folder / name

    def work(self, name: str, most: int | None = None) -> tuple[list[Scoring], float]:
        """Read a workload.

        Args:
            name: Of a workload in `_work.WORKLOADS`.
            most: How many of its scorings, from the first; all if None.

        Returns:
            The scorings, and the FLOPs that all of the workload needs at the least at the shape of `8b`.
        """
        scorings = []
        with (self.folder / "work" / f"{name}.jsonl").open() as lines:
            for line in lines:
                row = json.loads(line)
                response = row.pop("response")
                scorings.append(Scoring.of(row, response))
        ideal = json.loads((self.folder / "work" / "ideal.json").read_text())[name]
        return scorings[:most], ideal


def read_job(doc: str | None) -> tuple[Job, argparse.Namespace]:
    """Read a part's command line."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--step", default="")
    options = parser.parse_args()
    return Job(options.folder, options.tiny), options


def tell(**figures: Any) -> None:
    """Give figures to the parent, which prints them and writes them down at once."""
    print(RESULT + json.dumps(figures), flush=True)


def has_vllm() -> bool:
    """Return whether vLLM can be imported here; say so if not."""
    if importlib.util.find_spec("vllm") is None:
        tell(absent={"vllm": "vLLM is not installed"})
        return False
    return True


def card() -> str:
    """Return the name of the card, or CPU."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def mfu(flops: float, seconds: float) -> float | None:
    """Return the share of the card's stated peak that `flops` in `seconds` are; None if the peak is not known."""
    peak = peak_flops(card(), "bfloat16")
    return None if peak is None else round(flops / seconds / peak, 4)


def timed(what: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


class Watts(threading.Thread):
    """Reads the card's power draw five times a second while a block runs, if nvidia-smi is there."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._reader: subprocess.Popen[str] | None = None
        self._read: list[float] = []

    def __enter__(self) -> Watts:
        if shutil.which("nvidia-smi"):
            query = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits", "-lms", "200", "-i", "0"]
            self._reader = subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.terminate()
            self._reader.wait()
            self.join()

    def run(self) -> None:
        assert self._reader is not None
        assert self._reader.stdout is not None
        for line in self._reader.stdout:
            try:
                self._read.append(float(line))
            except ValueError:
                print(f"nvidia-smi says {line.strip()!r}", file=sys.stderr)

    @property
    def median(self) -> float | None:
        """The median draw in watts; None if nothing was read."""
        return round(statistics.median(self._read), 1) if self._read else None
