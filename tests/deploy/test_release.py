"""The release workflow, as far as it can be run here: what it calls exists, and the notes come from the changelog."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import dist, dockerfiles
from tests.deploy.composefile import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))
STEPS: list[dict[str, Any]] = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def notes(tag: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / ".ci" / "release-notes", tag], capture_output=True, text=True, check=False)


def test_the_notes_of_a_version_are_its_section_of_the_changelog() -> None:
    said = notes(f"v{dist.PROJECT['version']}")
    assert said.returncode == 0
    assert said.stdout.startswith("### Added")
    assert "## [" not in said.stdout


def test_a_tag_that_is_not_the_version_makes_no_release() -> None:
    said = notes("v99.0.0")
    assert (said.returncode, said.stdout) == (1, "")
    assert "the tag says 99.0.0" in said.stderr


def test_what_the_workflow_runs_exists() -> None:
    commands = [step["run"] for step in STEPS if "run" in step]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for command in commands:
        for target in re.findall(r"\bmake ([\w-]+)", command):
            assert target in targets
        for script in re.findall(r"\.ci/[\w-]+", command):
            assert (ROOT / script).stat().st_mode & 0o111


def test_a_release_carries_what_its_versions_install(tmp_path: Path) -> None:
    ended = subprocess.run(["make", "sbom", f"DIST={tmp_path}"], cwd=ROOT, capture_output=True, text=True, check=False)
    if "Failed to fetch" in ended.stderr or "not found in the package registry" in ended.stderr:
        pytest.skip("no package registry")
    assert ended.returncode == 0, ended.stderr
    for name, pins in (("tokenreward", "constraints.txt"), ("tokenreward-gpu", "workers/constraints-gpu.txt")):
        content = json.loads((tmp_path / f"{name}.cdx.json").read_text("utf-8"))
        pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / pins).read_text("utf-8"), re.MULTILINE))
        assert content["bomFormat"] == "CycloneDX"
        assert {component["name"] for component in content["components"]} == pinned


def test_its_images_are_those_of_the_dockerfiles() -> None:
    for image in WORKFLOW["jobs"]["images"]["strategy"]["matrix"]["include"]:
        stages = dockerfiles.read(ROOT / image["file"]).stages
        assert "target" not in image or image["target"] in [stage.name for stage in stages]


def test_a_sdist_has_what_the_wheel_is_built_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "DIST", tmp_path)
    wheel, sdist = dist.build()
    listed = subprocess.run(["tar", "tzf", sdist], capture_output=True, text=True, check=True).stdout
    for file in ("client/tokenreward/cli.py", "trainer/tokenreward_trainer/cli.py", "README.md", "CHANGELOG.md"):
        assert f"/{file}\n" in listed
    assert "/tests/" not in listed
    assert wheel.name.endswith("-py3-none-any.whl")
