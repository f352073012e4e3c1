"""Puts an adapter into the weights of its base, in a folder of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from tokenreward.checkpoint.folder import has_weights, is_adapter
from tokenreward.checkpoint.hub import find_model
from tokenreward.errors import BadInput
from tokenreward_trainer.training.model_card import write_card
from tokenreward_trainer.training.model_loading import load_adapted, load_tokenizer
from tokenreward_trainer.training.run_record import RunRecord
from tokenreward_trainer.training.settings import Model


def merge_adapter(run: str, out: Path, *, base: str | None = None, dtype: str = "auto") -> Path:
    """Merges an adapter into its base model and writes the whole model, or nothing.

    Args:
        run: The adapter's directory, such as a run's output directory, or its hub name.
        out: Where the model goes: a directory that is new or empty.
        base: The model below the adapter; None is the one that the adapter names.
        dtype: The type of the merged weights; `auto` is the base's own.

    Returns:
        `out`.

    Raises:
        BadInput: There is no adapter, `out` holds something, or one of the models cannot be loaded.
    """
    folder = find_model(run)
    if not is_adapter(folder):
        what = "an adapter beside full weights" if (folder / "adapter_config.json").is_file() else "no adapter"
        raise BadInput(
            f"{run} holds {what}: give the directory of a run that trained with lora.r, and nothing else in it"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"--out {out} holds something already: name a directory that is new or empty")
    below = base or str(json.loads((folder / "adapter_config.json").read_bytes())["base_model_name_or_path"])
    adapted, _ = load_adapted(str(folder), below, Model(name=below, dtype=dtype))
    tokenizer = load_tokenizer(str(folder) if (folder / "tokenizer_config.json").is_file() else below)
    merged = adapted.merge_and_unload(safe_merge=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as made:
        unfinished = Path(made) / "model"
        merged.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        _describe(folder, unfinished)
        if not has_weights(unfinished):
            raise BadInput(f"{out}: no weights were written")
        if out.exists():
            out.rmdir()
        shutil.move(unfinished, out)
    return out


def _describe(folder: Path, out: Path) -> None:
    """Carries the run's record along, with a card that says that this is a whole model."""
    if (folder / "run.json").is_file():
        shutil.copy(folder / "run.json", out / "run.json")
        write_card(replace(RunRecord.read(folder / "run.json"), adapter=False), out)
