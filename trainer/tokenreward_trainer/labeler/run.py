"""From files of edits to a labeler in a folder, which says what it was made of.

out/                the model and its tokenizer, to be served with engine transformers
out/labeler.json    the base model, the data and their hash, the options, the losses
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward import __version__
from tokenreward.chat_format import ChatFormat
from tokenreward.checkpoint.token_classifier import CLASSES, TRAINING
from tokenreward.dataset.atomic import replace
from tokenreward.errors import BadInput
from tokenreward_trainer.labeler.classifier import classifier_of, weighted_loss
from tokenreward_trainer.labeler.corrections import answer_loss, corrections
from tokenreward_trainer.labeler.corruptions import corrupted
from tokenreward_trainer.labeler.edit_files import read_edits
from tokenreward_trainer.labeler.edits import Edit, data_hash
from tokenreward_trainer.labeler.settings import Kind, LabelerSettings
from tokenreward_trainer.labeler.token_classes import classified
from tokenreward_trainer.labeler.training import trained
from tokenreward_trainer.labeler.worked_sums import made_edits
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.training.model_loading import load_model, load_tokenizer
from tokenreward_trainer.training.settings import Model

_MADE_OF: dict[Kind, Callable[[Edit, ChatFormat], Iterator[dict[str, Any]]]] = {
    "classifier": classified,
    "corrector": corrections,
}


@dataclass(frozen=True)
class Material:
    """What a labeler learns from.

    Attributes:
        edits: All edits, in the order in which they are hashed.
        left_out: Pairs that are no edits, as they keep too little of each other.
    """

    edits: Sequence[Edit]
    left_out: int


def gathered(files: Sequence[Path], settings: LabelerSettings) -> Material:
    """Read the files, and make further edits of them and by rule.

    Raises:
        BadInput: A file cannot be used, or there are no edits at all.
    """
    read = [edit for path in files for edit in read_edits(path)]
    edits = [edit for edit in read if edit.worse != edit.better and edit.kept >= settings.least_kept]
    found = [*edits, *corrupted(read, settings.corruptions, settings.seed), *made_edits(settings.made, settings.seed)]
    if not found:
        raise BadInput(
            "there is nothing to learn from: give a file of edits, --corruptions N for errors in its better texts, or"
            " --made N for edits by rule"
        )
    return Material(found, len(read) - len(edits))


def train(kind: Kind, model_name: str, files: Sequence[Path], out: Path, settings: LabelerSettings) -> dict[str, Any]:
    """Train a labeler, and write it.

    Args:
        kind: What it is.
        model_name: The language model that it is made of.
        files: Files of edits.
        out: Where it is written.
        settings: The options.

    Returns:
        The content of labeler.json.

    Raises:
        BadInput: The files, the model or the folder cannot be used.
    """
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: is there already; choose a new folder")
    started = time.monotonic()
    material = gathered(files, settings)
    tokenizer = load_tokenizer(model_name)
    chat = ChatFormat.from_pretrained_tokenizer(tokenizer)
    every = [example for edit in material.edits for example in _MADE_OF[kind](edit, chat)]
    examples = [example for example in every if len(example["input_ids"]) <= settings.max_tokens]
    if not examples:
        raise BadInput(f"no example has at most {settings.max_tokens} tokens; give a larger --max-tokens")
    model = load_model(model_name, Model(name=model_name, dtype="auto"))
    dtype = model.dtype
    if kind == "classifier":
        model = classifier_of(model, settings.layers)
        counts = Counter(label for example in examples for label in example["labels"])
        loss = weighted_loss([counts[number] for number in range(len(CLASSES))])
    else:
        make_scorable(model)
        loss = answer_loss
    with tempfile.TemporaryDirectory() as scratch:
        losses = trained(model, tokenizer, examples, settings, Path(scratch), loss)
    record = {
        "kind": kind,
        "base_model": model_name,
        "tokenizer_hash": chat.hash,
        "data_sha256": data_hash(material.edits),
        "files": [str(path) for path in files],
        "edits": len(material.edits),
        "pairs_that_are_no_edits": material.left_out,
        "examples": len(examples),
        "examples_too_long": len(every) - len(examples),
        "options": settings.model_dump(),
        "tokenreward_version": __version__,
        "seconds": round(time.monotonic() - started, 1),
        "losses": losses,
    }
    setattr(model.config, TRAINING, {name: record[name] for name in ("kind", "base_model", "data_sha256")})
    model.to(dtype).save_pretrained(out)
    tokenizer.save_pretrained(out)
    with replace(out / "labeler.json") as file:
        file.write(json.dumps(record, indent=2).encode() + b"\n")
    return record
