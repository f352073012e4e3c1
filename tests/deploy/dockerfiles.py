"""Dockerfiles, read as far as our tests ask: stages, and the instructions in each. hadolint checks the rest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One `FROM`. base: an image, or the stage it goes on from."""

    name: str
    base: str
    before: Stage | None
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        """Arguments of every such instruction, those of earlier stages that it stands on first."""
        inherited = self.before.all(keyword) if self.before else []
        return inherited + [rest for word, rest in self.instructions if word == keyword]

    def instruction_list(self, keyword: str) -> list[str]:
        """The last `ENTRYPOINT [...]` or `CMD [...]`."""
        found = self.all(keyword)
        return list(json.loads(found[-1])) if found else []

    @property
    def environment(self) -> dict[str, str]:
        return dict(re.findall(r"(\w+)=(\S+)", " ".join(self.all("ENV"))))

    @property
    def image(self) -> str:
        """The image from a registry below everything."""
        return self.before.image if self.before else self.base


@dataclass(frozen=True)
class Dockerfile:
    path: Path
    stages: list[Stage]

    def target(self, name: str | None) -> Stage:
        """The stage of that name, or the last."""
        return next(stage for stage in reversed(self.stages) if name in (None, stage.name))


def read(path: Path) -> Dockerfile:
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(name.strip(), base, next((s for s in stages if s.name == base), None)))
        else:
            stages[-1].instructions.append((word, re.sub(r"\s+", " ", rest)))
    return Dockerfile(path, stages)
