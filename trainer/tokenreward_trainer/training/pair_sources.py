"""TODO: what this module owns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from tokenreward.errors import BadInput
from tokenreward.schema import Provenance
from tokenreward_trainer.data.labeled_pairs import load_pairs
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.model_labels import contrast_labels, surprisal_labels
from tokenreward_trainer.training.model_loading import _model
from tokenreward_trainer.training.settings import Run


def _origin(run: Run, pairs: Sequence[Pair]) -> str:
    """Where the labels come from, for people."""
    if pairs[0].chosen_rewards is None:
        return "none"
    if run.labels.source == "contrast":
        return f"log-ratio of {run.labels.strong} to {run.labels.weak or run.model.name}, by the trainer"
    return f"surprisal under {run.model.name}, by the trainer" if run.labels.source == "surprisal" else "the file's own"


def _pairs(
    run: Run, arguments: PreferenceConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Pair], list[Pair], Provenance | None]:
    """Training pairs, held-out pairs, provenance of their labels."""
    data, limits = run.data, {"max_length": run.data.max_length, "max_prompt_length": run.data.max_prompt_length}
    files = [Path(data.train), *([Path(data.eval)] if data.eval else [])]
    if run.labels.source == "service":
        with arguments.main_process_first(local=False, desc="labels"):  # The others find the files labeled.
            files = [_label(run, file, Path(arguments.output_dir)) for file in files]
    loaded = [load_pairs(file, tokenizer, **limits) for file in files]
    pairs, provenance = loaded[0].pairs, loaded[0].provenance
    if data.eval:
        held_out = loaded[1].pairs
        if loaded[1].provenance != provenance and provenance is not None:
            raise BadInput(f"{data.train} and {data.eval} were labeled differently: label both in one way")
    else:
        count = round(len(pairs) * data.eval_share)
        # From the end, so that the same file gives the same split whatever the limit.
        pairs, held_out = pairs[: len(pairs) - count], pairs[len(pairs) - count :]
    pairs = pairs[: data.limit]
    if run.labels.source in ("contrast", "surprisal"):
        pairs, held_out = _computed(run, arguments.device, pairs, held_out)
        provenance = None
    return pairs, held_out, provenance


def _computed(run: Run, device: torch.device, pairs: list[Pair], held_out: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Labels by the trainer's own log-probs, over both sets together; in every process, at the same time."""
    both = [*pairs, *held_out]
    if run.labels.source == "surprisal":
        labeled = surprisal_labels(both, _model(run, run.model.name).to(device))
    else:
        assert run.labels.strong is not None
        if (Path(run.labels.strong) / "adapter_config.json").exists():
            from peft import PeftModel

            strong = PeftModel.from_pretrained(_model(run, run.labels.weak or run.model.name), run.labels.strong)
            labeled = contrast_labels(both, strong.to(device))
        else:
            weak = _model(run, run.labels.weak or run.model.name)
            labeled = contrast_labels(both, _model(run, run.labels.strong).to(device), weak.to(device))
    return labeled[: len(pairs)], labeled[len(pairs) :]


def _label(run: Run, file: Path, out: Path) -> Path:
    """The file, labeled by the service; what was labeled already stays."""
    from tokenreward.dataset import label_dataset

    target = out / "labels" / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    labels = run.labels
    done = label_dataset(
        file, target, model=labels.model, template=labels.template, estimator=labels.estimator, url=labels.url
    )
    return done.path
