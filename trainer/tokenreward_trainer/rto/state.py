"""What a killed run goes on from: weights, optimizer and schedule after a whole iteration, and the log until then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from tokenreward.dataset.atomic import replace
from tokenreward.errors import BadInput
from tokenreward_trainer.training.checkpoints import last_checkpoint, remove_checkpoint, remove_checkpoints

Log = list[dict[str, float]]


class RunState:
    """Checkpoints of a run, of which the last is kept.

    A checkpoint is whole once `trainer_state.json` stands in it, as in the Trainer's.

    Args:
        folder: The run's directory.
        accelerator: Which has prepared model, optimizer and schedule.
        options: All options, which a run that goes on must share.
    """

    def __init__(self, folder: Path, accelerator: Accelerator, options: dict[str, Any]) -> None:
        self._folder = folder
        self._accelerator = accelerator
        self._options = json.loads(json.dumps(options))

    def restore(self) -> tuple[int, Log]:
        """Loads the last whole checkpoint.

        Returns:
            The iterations that are done, and the log of them; 0 and nothing if there is no checkpoint.

        Raises:
            BadInput: The checkpoint is of a run with other options.
        """
        found = last_checkpoint(self._folder)
        if found is None:
            return 0, []
        content = json.loads((found / "trainer_state.json").read_bytes())
        different = sorted(name for name in self._options if content["options"].get(name) != self._options[name])
        if different:
            raise BadInput(
                f"{found} is of a run with other options ({', '.join(different)} differ): remove it, or take another "
                "run.directory"
            )
        self._accelerator.load_state(str(found))
        return int(content["global_step"]), content["log_history"]

    def save(self, iterations: int, log: Log) -> None:
        """Writes a checkpoint and removes those before it."""
        folder = self._folder / f"checkpoint-{iterations}"
        before = [path for path in self._folder.glob("checkpoint-*") if path != folder]
        self._accelerator.save_state(str(folder))
        with replace(folder / "trainer_state.json") as file:
            content = {"global_step": iterations, "log_history": log, "options": self._options}
            file.write(json.dumps(content).encode())
        for path in before:
            remove_checkpoint(path)

    def remove(self) -> None:
        """Removes all checkpoints, once the run is done."""
        remove_checkpoints(self._folder)
