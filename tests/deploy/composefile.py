"""`docker-compose.yml` as Compose understands it: merged, interpolated with defaults, one view for each service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy import dockerfiles

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"


def raw() -> dict[str, Any]:
    """As written, YAML's own merges done."""
    return dict(yaml.safe_load(FILE.read_text("utf-8")))


def resolved(environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Without extensions, every `${NAME:-default}` replaced."""
    content = {name: part for name, part in raw().items() if not name.startswith("x-")}
    return dict(_interpolated(content, environment or {}))


def _interpolated(value: Any, environment: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _interpolated(part, environment) for name, part in value.items()}
    if isinstance(value, list):
        return [_interpolated(part, environment) for part in value]
    if not isinstance(value, str):
        return value
    found: str = re.sub(r"\$\{([A-Z_]+):-([^}]*)\}", lambda match: environment.get(match[1]) or match[2], value)
    assert "${" not in found, f"{value!r} has no default: `docker compose up` would need an edit"
    return found


@dataclass(frozen=True)
class Service:
    """One service. content: its part of the file, interpolated."""

    name: str
    content: dict[str, Any]

    @property
    def profiles(self) -> list[str]:
        return list(self.content.get("profiles", []))

    @property
    def image(self) -> dockerfiles.Stage | None:
        """The last stage of what is built for it; None for an image from a registry."""
        build = self.content.get("build")
        if build is None:
            return None
        return dockerfiles.read(ROOT / build["dockerfile"]).target(build.get("target"))

    @property
    def command(self) -> list[str]:
        """Entry point and command, the file's before the image's."""
        image = self.image
        entry = self.content.get("entrypoint") or (image.instruction_list("ENTRYPOINT") if image else [])
        return [*entry, *(self.content.get("command") or (image.instruction_list("CMD") if image else []))]

    @property
    def environment(self) -> dict[str, str]:
        """The image's and the file's."""
        own = {name: str(value) for name, value in self.content.get("environment", {}).items()}
        return (self.image.environment if self.image else {}) | own

    @property
    def volumes(self) -> dict[str, str]:
        """Path in the container -> volume, or path on the host."""
        return {entry.split(":")[1]: entry.split(":")[0] for entry in self.content.get("volumes", [])}

    @property
    def needs(self) -> dict[str, str]:
        """Service -> the condition it must fulfil first."""
        return {name: how["condition"] for name, how in self.content.get("depends_on", {}).items()}

    @property
    def health(self) -> list[str]:
        """The command of the health check."""
        kind, *command = self.content["healthcheck"]["test"]
        return command if kind == "CMD" else ["sh", "-c", *command]


def services(profile: str | None = None) -> dict[str, Service]:
    """What `docker compose --profile ... up` starts; every service without a profile named."""
    found = {name: Service(name, content) for name, content in resolved()["services"].items()}
    if profile is None:
        return found
    return {name: s for name, s in found.items() if not s.profiles or profile in s.profiles}


def seconds(duration: str) -> float:
    """`1m30s` as seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", duration))
