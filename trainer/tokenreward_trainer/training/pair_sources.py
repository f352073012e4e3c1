"""Where a run's pairs and labels come from: files, the service, or the trainer's own log-probs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from tokenreward.errors import BadInput
from tokenreward.schema import Provenance
from tokenreward_trainer.data.labeled_pairs import load_pairs
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.data.row_checks import RowCounts
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.model_labels import contrast_labels, surprisal_labels
from tokenreward_trainer.training.model_loading import load_adapted, load_model
from tokenreward_trainer.training.run_checks import check_split
from tokenreward_trainer.training.settings import Run
from tokenreward_trainer.training.vocabulary import vocabulary_of


@dataclass(frozen=True)
class RunData:
    """The pairs of a run.

    Attributes:
        train: Pairs to train on.
        held_out: Pairs to evaluate on; may be empty.
        provenance: How the service made the labels; None where it did not.
        origin: Where the labels come from, for people.
        counts: What the rows of all files have that is rarely meant.
    """

    train: list[Pair]
    held_out: list[Pair]
    provenance: Provenance | None
    origin: str
    counts: RowCounts = field(default_factory=RowCounts)


def read_pairs(run: Run, arguments: PreferenceConfig, tokenizer: PreTrainedTokenizerBase) -> RunData:
    """Reads the run's files, labels what is to be labeled, and splits off held-out pairs.

    Args:
        run: The run's settings.
        arguments: Its [train] section.
        tokenizer: The policy's.

    Raises:
        BadInput: A file cannot be used, or the two files were labeled differently.
    """
    data = _from_files(run, arguments, tokenizer)
    if run.labels.source in ("contrast", "surprisal"):
        data = _with_own_labels(run, data, arguments.device)
    return replace(data, origin=_origin(run, data))


def _from_files(run: Run, arguments: PreferenceConfig, tokenizer: PreTrainedTokenizerBase) -> RunData:
    data = run.data
    limits: dict[str, Any] = {
        "max_length": data.max_length,
        "max_prompt_length": data.max_prompt_length,
        "squash": data.squash,
        "scored_by": [name for name in run.labels.models.values() if "@" in name],
    }
    limits["vocabulary"] = vocabulary_of(run.model.name)
    files = [Path(data.train), *([Path(data.eval)] if data.eval else [])]
    if run.labels.source == "service":
        with arguments.main_process_first(local=False, desc="labels"):  # The others find the files labeled.
            files = [_labeled_by_service(run, file, Path(arguments.output_dir)) for file in files]
    loaded = [load_pairs(file, tokenizer, **limits) for file in files]
    pairs, provenance = loaded[0].pairs, loaded[0].provenance
    if data.eval:
        held_out = loaded[1].pairs
        if loaded[1].provenance != provenance and provenance is not None:
            raise BadInput(f"{data.train} and {data.eval} were labeled differently: label both in one way")
    else:
        count = check_split(len(pairs), data.eval_share, data.limit)
        # From the end, so that the same file gives the same split whatever the limit.
        pairs, held_out = pairs[: len(pairs) - count], pairs[len(pairs) - count :]
    counts = sum((each.counts for each in loaded), RowCounts())
    return RunData(pairs[: data.limit], held_out, provenance, origin="", counts=counts)


def _with_own_labels(run: Run, data: RunData, device: torch.device) -> RunData:
    """Labels by the trainer's own log-probs, over both sets together; in every process, at the same time."""
    both, base = [*data.train, *data.held_out], run.labels.weak or run.model.name
    if run.labels.source == "surprisal":
        labeled = surprisal_labels(both, load_model(run.model.name, run.model).to(device))
    else:
        assert run.labels.strong is not None
        strong, is_adapter = load_adapted(run.labels.strong, base, run.model)
        weak = None if is_adapter else load_model(base, run.model).to(device)
        labeled = contrast_labels(both, strong.to(device), weak)
    count = len(data.train)
    return replace(data, train=labeled[:count], held_out=labeled[count:], provenance=None)


def _labeled_by_service(run: Run, file: Path, out: Path) -> Path:
    """The file, labeled by the service; what was labeled already stays."""
    from tokenreward.dataset import label_dataset

    target = out / "labels" / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    labels = run.labels
    done = label_dataset(
        file,
        target,
        model=labels.model,
        template=labels.template,
        estimator=labels.estimator,
        parameters=labels.parameters,
        contexts=labels.context,
        pool=labels.pool,
        pool_by=labels.pool_by,
        score=labels.score,
        models=labels.models,
        url=labels.url,
    )
    return done.path


def _origin(run: Run, data: RunData) -> str:
    if not data.train or data.train[0].chosen_token_rewards is None:
        return "none"
    if run.labels.source == "contrast":
        return f"log-ratio of {run.labels.strong} to {run.labels.weak or run.model.name}, by the trainer"
    return f"surprisal under {run.model.name}, by the trainer" if run.labels.source == "surprisal" else "the file's own"
