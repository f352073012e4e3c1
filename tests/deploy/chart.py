"""Renders the Helm chart with the real `helm`, which comes as a wheel."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "tokenreward"


class RenderError(Exception):
    """Helm refused the values or the templates; the message is its own."""


def helm() -> Path | None:
    """The program; None where its wheel does not exist (it is built for Linux on x86-64)."""
    found = Path(sysconfig.get_path("scripts")) / "helm"
    return found if found.is_file() else None


def render(release: str = "tr", *values: str) -> str:
    """What `helm template` prints.

    Args:
        release: The name of the release.
        values: `name=value` each, as for `--set`.

    Raises:
        RenderError: Helm refuses.
    """
    program = helm()
    assert program is not None
    command = [str(program), "template", release, str(CHART), "--namespace", "lab"]
    for value in values:
        command += ["--set", value]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RenderError(ran.stderr)
    return ran.stdout


def objects(release: str = "tr", *values: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rendered objects, by kind and name."""
    found = [content for content in yaml.safe_load_all(render(release, *values)) if content]
    return {(content["kind"], content["metadata"]["name"]): content for content in found}
