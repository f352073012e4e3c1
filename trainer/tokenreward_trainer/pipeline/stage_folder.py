"""A stage's folder: named after the hash of what goes into it, finished once `stage.json` stands in it.

The hash is of the stage's options and of the content of its inputs, so equal work is found again, and work that was
begun with other options lies in another folder. A finished folder is overwritten only if somebody else has changed it.
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
    """What a finished stage left.

    Attributes:
        stage: The stage's name.
        hash: Of everything that it was made from.
        options: What it was made from besides its inputs.
        inputs: By stage, the digest of what was read of it.
        outputs: By path in the folder, the hash of the file's content.
        seconds: The time of the run that finished it.
        summary: What came of it, for people.
    """

    stage: str
    hash: str
    options: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]
    seconds: float
    summary: str

    def digest_of(self, files: Sequence[str]) -> str:
        """Returns the digest of some of the outputs, which a stage behind this one depends on."""
        return digest({name: self.outputs[name] for name in files})


@dataclass(frozen=True)
class Folder:
    """The folder of one stage with one set of options and inputs, below the run's directory.

    Attributes:
        path: The folder.
        stage: The stage's name.
        hash: Of everything that it is made from.
        options: What it is made from besides its inputs.
        inputs: By stage, the digest of what is read of it.
    """

    path: Path
    stage: str
    hash: str
    options: dict[str, Any]
    inputs: dict[str, str]

    @classmethod
    def of(cls, run: Path, stage: str, version: int, options: dict[str, Any], inputs: dict[str, str]) -> Folder:
        """Names the folder.

        Args:
            run: The run's directory.
            stage: The stage's name.
            version: Of the stage's code; another one is another stage.
            options: See the class.
            inputs: See the class.
        """
        key = digest({"stage": stage, "version": version, "options": options, "inputs": inputs})
        return cls(run / "stages" / f"{stage}-{key[:12]}", stage, key, options, inputs)

    def finished(self) -> Record | None:
        """Returns what a former run left here; None if it is not whole or somebody has changed it since."""
        try:
            record = Record(**json.loads((self.path / _RECORD).read_bytes()))
            unchanged = all(file_hash(self.path / name) == known for name, known in record.outputs.items())
        except (OSError, ValueError, TypeError):
            return None
        return record if unchanged and record.hash == self.hash else None

    def finish(self, outputs: list[str], seconds: float, summary: str) -> Record:
        """Writes the record, which makes the stage finished."""
        hashes = {name: file_hash(self.path / name) for name in sorted(outputs)}
        record = Record(self.stage, self.hash, self.options, self.inputs, hashes, round(seconds, 2), summary)
        with replace(self.path / _RECORD) as file:
            file.write(json.dumps(asdict(record), indent=1, ensure_ascii=False).encode())
        return record

    def begin(self) -> None:
        """Makes the folder. What a killed run left stays; a finished stage that others have changed is removed."""
        if (self.path / _RECORD).exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
