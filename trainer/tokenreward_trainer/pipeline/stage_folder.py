"""A stage's folder: named after the hash of what goes into it, finished once `stage.json` stands in it.

The hash is of the stage's options and of the content of its inputs, so whatever is equal is found again, and what was
begun with other options lies in another folder. What is finished is overwritten only if somebody
else has changed it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.schema import digest
from tokenreward_trainer.resumable.hashes import file_hash

_RECORD = "stage.json"


@dataclass(frozen=True)
class Record:
    """What a finished stage left. options: what it was made from, besides its inputs.

    inputs: stage -> digest of what was read of it.  outputs: path in the folder -> hash of its content.
    seconds: of the run that finished it.  summary: what came of it, for people.
    """

    stage: str
    hash: str
    options: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]
    seconds: float
    summary: str

    def digest_of(self, files: Sequence[str]) -> str:
        """Of some of the outputs: what a stage behind this one depends on."""
        return digest({name: self.outputs[name] for name in files})


@dataclass(frozen=True)
class Folder:
    """One stage with one set of options and inputs, below the run's directory."""

    path: Path
    stage: str
    hash: str
    options: dict[str, Any]
    inputs: dict[str, str]

    @classmethod
    def of(cls, run: Path, stage: str, version: int, options: dict[str, Any], inputs: dict[str, str]) -> Folder:
        """version: of the stage's code; another one is another stage."""
        key = digest({"stage": stage, "version": version, "options": options, "inputs": inputs})
        return cls(run / "stages" / f"{stage}-{key[:12]}", stage, key, options, inputs)

    def finished(self) -> Record | None:
        """What a former run left here, if it is whole and nobody has changed it since."""
        try:
            record = Record(**json.loads((self.path / _RECORD).read_bytes()))
            unchanged = all(file_hash(self.path / name) == known for name, known in record.outputs.items())
        except (OSError, ValueError, TypeError):
            return None
        return record if unchanged and record.hash == self.hash else None

    def finish(self, outputs: list[str], seconds: float, summary: str) -> Record:
        hashes = {name: file_hash(self.path / name) for name in sorted(outputs)}
        record = Record(self.stage, self.hash, self.options, self.inputs, hashes, round(seconds, 2), summary)
        with replace(self.path / _RECORD) as file:
            file.write(json.dumps(asdict(record), indent=1, ensure_ascii=False).encode())
        return record

    def begin(self) -> None:
        """Makes the folder. What a killed run left stays; what was finished and then changed by others goes."""
        if (self.path / _RECORD).exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
