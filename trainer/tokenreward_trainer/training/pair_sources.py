"""Where a run's pairs and labels come from: files, the service, or the trainer's own log-probs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
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
from tokenreward_trainer.training.mixture import path_of, split_and_mix
from tokenreward_trainer.training.model_labels import contrast_labels, surprisal_labels
from tokenreward_trainer.training.model_loading import load_adapted, load_model
from tokenreward_trainer.training.settings import Run
from tokenreward_trainer.training.vocabulary import vocabulary_of


@dataclass(frozen=True)
class RunData:
    """The pairs of a run.

    Attributes:
        train: Pairs to train on.
        held_out: Pairs to evaluate on, the first set of them where there are several; may be empty.
        provenance: How the service made the labels; None where it did not.
        origin: Where the labels come from, for people.
        counts: What the rows of all files have that is rarely meant.
        eval_sets: All sets of held-out pairs by name, where the run names them.
    """

    train: list[Pair]
    held_out: list[Pair]
    provenance: Provenance | None
    origin: str
    counts: RowCounts = field(default_factory=RowCounts)
    eval_sets: dict[str, list[Pair]] = field(default_factory=dict)

    @property
    def to_evaluate(self) -> list[Pair] | dict[str, list[Pair]] | None:
        """What the trainer evaluates on; None where nothing is held out."""
        return self.eval_sets or self.held_out or None


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
        "vocabulary": vocabulary_of(run.model.name),
        "single": arguments.chosen_method.single,
        "teacher": arguments.chosen_method.teacher,
    }
    columns: list[dict[str, str]] = [part.columns for part in data.parts] + [data.columns] * len(data.eval_sets)
    with arguments.main_process_first(local=False, desc="data"):  # The others find files fetched and labeled.
        files = [path_of(part) for part in data.parts] + [Path(file) for file in data.eval_sets.values()]
        if run.labels.source == "service":
            files = _labeled_by_service(run, files, Path(arguments.output_dir) / "labels")
            columns = [{}] * len(files)  # Labeled files have the names that are read here.
    loaded = [load_pairs(file, tokenizer, columns=c, **limits) for file, c in zip(files, columns, strict=True)]
    for file, each in zip(files, loaded, strict=True):
        if each.provenance != loaded[0].provenance:
            raise BadInput(f"{files[0]} and {file} were labeled differently: label both in one way")
    count = len(data.parts)
    train, held_out = split_and_mix(data, [each.pairs for each in loaded[:count]], arguments.seed)
    sets = dict(zip(data.eval_sets, (each.pairs for each in loaded[count:]), strict=True))
    check_teacher(run.labels.teacher, loaded[0].provenance)
    counts = sum((each.counts for each in loaded), RowCounts())
    held_out = next(iter(sets.values()), held_out)
    named = {name: pairs for name, pairs in sets.items() if name}
    return RunData(train, held_out, loaded[0].provenance, origin="", counts=counts, eval_sets=named)


def check_teacher(wanted: str | None, provenance: Provenance | None) -> None:
    """Checks that the model that labeled is the teacher that is meant.

    Offline distillation is consistent only with the teacher whose answers the policy was first trained on
    (Lightning OPD, arXiv 2604.13010).

    Args:
        wanted: The teacher's model hash, the digest of its fingerprint, or its name; None takes any.
        provenance: How the labels were made.

    Raises:
        BadInput: It is another model, or nobody knows which.
    """
    if wanted is None:
        return
    if provenance is None:
        raise BadInput(f"labels.teacher = {wanted!r}, and the file does not say which model labeled it")
    made = provenance.fingerprint
    if wanted not in (made.model_hash, provenance.fingerprint_digest, made.model):
        raise BadInput(
            f"labels.teacher = {wanted!r}, and the labels are of {made.model} (model hash {made.model_hash}, "
            f"fingerprint {provenance.fingerprint_digest}): distillation from another teacher than that of the first "
            "training is biased. Label with that teacher, or leave labels.teacher out"
        )


def _with_own_labels(run: Run, data: RunData, device: torch.device) -> RunData:
    """Labels by the trainer's own log-probs, over both sets together; in every process, at the same time."""
    sets = [data.train, data.held_out, *data.eval_sets.values()]
    both, base = [pair for pairs in sets for pair in pairs], run.labels.weak or run.model.name
    if run.labels.source == "surprisal":
        labeled = surprisal_labels(both, load_model(run.model.name, run.model).to(device))
    else:
        assert run.labels.strong is not None
        strong, is_adapter = load_adapted(run.labels.strong, base, run.model)
        weak = None if is_adapter else load_model(base, run.model).to(device)
        labeled = contrast_labels(both, strong.to(device), weak)
    pairs = iter(labeled)
    train, held_out, *named = [list(islice(pairs, len(each))) for each in sets]
    named_sets = dict(zip(data.eval_sets, named, strict=True))
    return replace(data, train=train, held_out=held_out, eval_sets=named_sets, provenance=None)


def _labeled_by_service(run: Run, files: Sequence[Path], folder: Path) -> list[Path]:
    """The files, labeled by the service; what was labeled already stays."""
    from tokenreward.dataset import label_dataset

    folder.mkdir(parents=True, exist_ok=True)
    labels = run.labels
    done = {
        file: label_dataset(
            file,
            target,
            columns=run.data.columns,
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
        ).path
        for file, target in targets_of(files, folder).items()
    }
    return [done[file] for file in files]


def targets_of(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Returns where each file is labeled to: under its own name, behind a number where two have the same name."""
    different = list(dict.fromkeys(files))
    alike = len({file.name for file in different}) < len(different)
    return {file: folder / (f"{number}-{file.name}" if alike else file.name) for number, file in enumerate(different)}


def _origin(run: Run, data: RunData) -> str:
    if not data.train or data.train[0].chosen_token_rewards is None:
        return "none"
    if run.labels.source == "contrast":
        return f"log-ratio of {run.labels.strong} to {run.labels.weak or run.model.name}, by the trainer"
    return f"surprisal under {run.model.name}, by the trainer" if run.labels.source == "surprisal" else "the file's own"
