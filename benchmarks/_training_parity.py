"""Parity of the trainer with TRL's, on one small batch of real pairs: part of training.py."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

_PAIRS = 4


def parity(name: str, threads: int) -> dict[str, float]:
    """Per method, in float32: the larger of the relative differences of any pair's loss and of the whole gradient
    (norm of the difference over the norm). `_worst_parameter`: of the gradient's largest element, per parameter, where
    both trainers are about 4e-5 from the float64 gradient of the demo model.
    """
    import torch

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as directory:
        found: dict[str, float] = {}
        for method, take in (
            ("dpo", {"beta": 0.1}),
            ("wpo", {"beta": 0.1, "use_weighting": True}),
            ("simpo", {"beta": 2.0, "simpo_gamma": 1.0}),
        ):
            whole, worst = _difference(name, directory, method, take)
            found |= {f"{method}_vs_trl_rel": whole, f"{method}_vs_trl_worst_parameter": worst}
    return found


def _difference(name: str, directory: str, method: str, theirs_take: dict[str, Any]) -> tuple[float, float]:
    import torch
    from transformers import AutoModelForCausalLM

    from tokenreward_trainer import Pair, PreferenceConfig, PreferenceTrainer

    def model(noise: float = 0.0) -> Any:
        torch.manual_seed(0)
        loaded = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
        for parameter in loaded.parameters():
            parameter.data += noise * parameter.data.std() * torch.randn_like(parameter)
        return loaded

    theirs = _trl_for_parity(name, directory, method, theirs_take, model(), model(noise=0.02))
    prompt, sides = ("prompt_ids", ("chosen_ids", "rejected_ids"))
    rows = [dict(row) for row in theirs.train_dataset]
    if method == "simpo":
        prompt, sides = ("prompt_input_ids", ("chosen_input_ids", "rejected_input_ids"))
        for row in rows:
            row.update({side: row[side][len(row[prompt]) :] for side in sides})
    pairs = [Pair(str(i), tuple(row[prompt]), *(tuple(row[side]) for side in sides)) for i, row in enumerate(rows)]
    arguments = PreferenceConfig(
        output_dir=directory,
        use_cpu=True,
        report_to="none",
        method=method,
        beta=theirs_take["beta"],
        gamma_ratio=0.5 if method == "simpo" else None,
        reference="auto" if method == "simpo" else "live",
    )
    ours = PreferenceTrainer(model(), arguments, pairs, ref_model=None if method == "simpo" else model(noise=0.02))
    loss = 0.0
    for index in range(len(pairs)):
        one, other = (_loss(t, [t.train_dataset[index]]).item() for t in (ours, theirs))
        loss = max(loss, abs(one - other) / abs(other))
    for trainer in (ours, theirs):
        _loss(trainer, list(trainer.train_dataset)).backward()
    grads = [
        (one.grad, other.grad) for one, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True)
    ]
    difference = sum(((one - other).double() ** 2).sum().item() for one, other in grads) ** 0.5
    size = sum((other.double() ** 2).sum().item() for _, other in grads) ** 0.5
    worst = max(((one - other).abs().max() / other.abs().max()).item() for one, other in grads)
    return max(loss, difference / size), worst


def _trl_for_parity(name: str, directory: str, method: str, take: dict[str, Any], model: Any, reference: Any) -> Any:
    from datasets import Dataset
    from transformers import AutoTokenizer

    from tokenreward_trainer.prompts.demo_pairs import write_pairs

    write_pairs(Path(directory) / "pairs.jsonl", _PAIRS)
    lines = (Path(directory) / "pairs.jsonl").read_text("utf-8").splitlines()
    rows = Dataset.from_list([{k: v for k, v in json.loads(line).items() if k != "id"} for line in lines])
    plain = {"use_cpu": True, "report_to": "none", "gradient_checkpointing": False, "bf16": False}
    tokenizer = AutoTokenizer.from_pretrained(name)
    if method == "simpo":
        from trl.experimental.cpo import CPOConfig, CPOTrainer

        arguments = CPOConfig(directory, loss_type="simpo", cpo_alpha=0.0, **plain, **take)
        return CPOTrainer(model, arguments, train_dataset=rows, processing_class=tokenizer)
    from trl import DPOConfig, DPOTrainer

    return DPOTrainer(
        model, reference, DPOConfig(directory, **plain, **take), train_dataset=rows, processing_class=tokenizer
    )


def _loss(trainer: Any, examples: list[Any]) -> Any:
    from tokenreward_trainer.model.scoring import attending

    trainer.model.train()
    with attending(trainer.model, getattr(trainer, "layout", "padded")):
        return trainer.compute_loss(trainer.model, trainer.data_collator(examples))
