"""What every benchmark ends with: a table for people, and `build/<name>.json` for programs."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent


def table(title: str, rows: Iterable[tuple[str, Any]]) -> None:
    """Print names and figures."""
    drawn = Table(title=title, show_header=False)
    for name, value in rows:
        drawn.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console(width=120).print(drawn)


def write(name: str, figures: Mapping[str, Any]) -> Path:
    """Write `build/<name>.json`: {"command", "machine", "commit", "figures"}; returns its path."""
    path = ROOT / "build" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    content = {"command": command(), "machine": machine(), "commit": commit(), "figures": dict(figures)}
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return path


def read(name: str) -> dict[str, Any]:
    """The figures in `build/<name>.json`, for a benchmark that adds to them; empty if there is none."""
    try:
        figures: dict[str, Any] = json.loads((ROOT / "build" / f"{name}.json").read_text("utf-8"))["figures"]
    except (OSError, ValueError, KeyError):
        return {}
    return figures


def command() -> str:
    """How this program was called, relative to the repository."""
    script = Path(sys.argv[0]).resolve()
    shown = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name
    return shlex.join(["python", str(shown), *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit measured, with `+` if files differ from it; `unknown` outside a checkout."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
