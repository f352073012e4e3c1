"""Training beside TRL: parity, step time and peak memory on the same pairs, model, reference mode and threads.

    python benchmarks/training.py [--model DIRECTORY]       (the demo model, if none is named)

Every measured run is a process of its own (peak memory is a process's), and the runs take turns, so that a busy
machine slows both. A step is forward, backward and optimizer, from the Trainer's own callbacks; ratios are medians over
turns of the medians of each turn's steps. The operators that a step calls on a card are counted, too
(`benchmarks/_operators.py`). Writes build/bench-training.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._operators import operators
from benchmarks._report import table, write
from benchmarks._training_parity import parity
from benchmarks.gpu_models import drawn
from tokenreward_workers.model_files.resolve import resolve_model

PAIRS = 4
MAX_LENGTH = 512

RUNS = {
    "trl": "TRL's DPOTrainer",
    "ours": "PreferenceTrainer, DPO",
    "ours-reg": "PreferenceTrainer, DPO-REG",
    "ours-one-pass": "the same, the batch in one pass",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="a checkpoint directory")
    parser.add_argument("--rounds", type=int, default=3, help="turns each trainer takes")
    parser.add_argument("--steps", type=int, default=2, help="timed steps a turn, after one that is not timed")
    parser.add_argument("--reference", choices=["precompute", "live"], default="precompute")
    parser.add_argument("--shape", choices=["typical", "longest"], default="typical")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing in both")
    parser.add_argument("--lora", action="store_true", help="train an adapter of rank 16 in both, not all weights")
    parser.add_argument("--random-weights", action="store_true", help="draw the weights on the device, read the config")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--child", nargs="+", choices=["parity", "operators", *RUNS], help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        print(json.dumps({name: _measured(options, name) for name in options.child}))
        return 0

    options.model = str(resolve_model(options.model).path)
    figures: dict[str, Any] = _child(options, "parity") | _child(options, "operators")
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in RUNS}
    for turn in range(options.rounds):
        for name in RUNS:
            turns[name].append(_child(options, name))
            print(f"turn {turn + 1}, {name}: {turns[name][-1]}", flush=True)
    figures |= _compared(turns)
    table("seconds a step and peak memory", ((RUNS[name], _typical(found)) for name, found in turns.items()))
    table("bench-training", figures.items())
    write("bench-training", figures | {"turns": turns})
    return 0


def _compared(turns: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    def against_trl(name: str, what: str) -> float:
        """The median over turns of one trainer's figure over TRL's in the same turn."""
        paired = zip(turns[name], turns["trl"], strict=True)
        return round(statistics.median(_middle(ours[what]) / _middle(trl[what]) for ours, trl in paired), 3)

    regularizer = statistics.median(turn["regularizer_s"] / _middle(turn["step_s"]) for turn in turns["ours-reg"])
    return {
        "step_time_vs_trl": against_trl("ours", "step_s"),
        # Seconds of processor time: the same comparison where other programs take turns on the machine.
        "step_cpu_vs_trl": against_trl("ours", "step_cpu_s"),
        "memory_vs_trl": against_trl("ours", "peak_gb"),
        "step_time_vs_trl_reg": against_trl("ours-reg", "step_s"),
        "memory_vs_trl_reg": against_trl("ours-reg", "peak_gb"),
        "step_time_vs_trl_one_pass": against_trl("ours-one-pass", "step_s"),
        "memory_vs_trl_one_pass": against_trl("ours-one-pass", "peak_gb"),
        "reg_extra_forwards": turns["ours-reg"][0]["forwards"] - turns["ours"][0]["forwards"],
        "reg_loss_share": round(regularizer, 6),
    }


def _typical(found: list[dict[str, Any]]) -> str:
    step, peak = (statistics.median(_middle(turn[what]) for turn in found) for what in ("step_s", "peak_gb"))
    return f"{step:.2f} s, {peak:.2f} GB"


def _middle(value: float | list[float]) -> float:
    return statistics.median(value) if isinstance(value, list) else value


def _child(options: argparse.Namespace, name: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name]
    for option in ("model", "steps", "reference", "shape", "dtype", "threads"):
        command += [f"--{option}", str(getattr(options, option))]
    for switch in ("checkpointing", "lora", "random_weights"):
        command += [f"--{switch.replace('_', '-')}"] if getattr(options, switch) else []
    environment = os.environ | {
        "OMP_NUM_THREADS": str(options.threads),
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if ran.returncode != 0:
        sys.exit(f"{name} ended with {ran.returncode} (-9: killed, perhaps for memory):\n{ran.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])[name]
    return found


def make_rows(shape: str, vocabulary: int) -> list[dict[str, list[int]]]:
    """Pairs of random tokens. typical: prompts of 64-192 and completions of 96-320; longest: all of 512."""
    import random

    generator = random.Random(0)

    def ids(length: int) -> list[int]:
        return [generator.randrange(10, vocabulary) for _ in range(length)]

    rows = []
    for _ in range(PAIRS):  # Every step trains on the same pairs.
        prompt = 128 if shape == "longest" else generator.randint(64, 192)
        chosen, rejected = (
            (384, 384) if shape == "longest" else (generator.randint(96, 320), generator.randint(96, 320))
        )
        rows.append({"prompt_ids": ids(prompt), "chosen_ids": ids(chosen), "rejected_ids": ids(rejected)})
    return rows


def _measured(options: argparse.Namespace, name: str) -> dict[str, Any]:
    if name == "parity":
        return parity(options.model, options.threads)
    import torch

    torch.set_num_threads(options.threads)
    if name == "operators":
        return _operators(options)
    with tempfile.TemporaryDirectory() as directory:
        trainer = _trainer(options, name, directory)
        calls: list[int] = []
        base = trainer.model.get_base_model() if options.lora else trainer.model
        base.model.register_forward_hook(lambda *_: calls.append(1))
        trainer.train()
    found: dict[str, Any] = {
        "step_s": [round(s, 3) for s in trainer.step_times[1:]],
        "step_cpu_s": [round(s, 3) for s in trainer.step_cpu[1:]],
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
        "forwards": len(calls) // (options.steps + 1),
    }
    if torch.cuda.is_available():
        found["peak_gb"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
    if name == "ours-reg":
        found["regularizer_s"] = _regularizer_seconds(trainer)
    return found


def _operators(options: argparse.Namespace) -> dict[str, Any]:
    """What a card would be asked for in a step: the longest pairs, all weights, nothing that the options change."""
    options.shape, options.steps, options.lora, options.checkpointing = "longest", 1, False, False
    ways = {"trl": "trl", "ours": "ours-one-pass"}  # As on a card, whose pass takes these pairs at once.
    with tempfile.TemporaryDirectory() as directory:
        return operators(lambda name, model: _trainer(options, ways[name], directory, model))


def _regularizer_seconds(trainer: Any, repeats: int = 50) -> float:
    """The regulariser alone, forward and backward, on tensors of a step's shape."""
    import torch

    from tokenreward_trainer.losses import Completions, PairLoss
    from tokenreward_trainer.losses.regularizer import regularization

    shape = (PAIRS, max(len(side) for e in trainer.train_dataset for side in (e.pair.chosen, e.pair.rejected)))
    logps = torch.randn(2, *shape, device=trainer.args.device, requires_grad=True)
    rest = torch.ones(shape, dtype=torch.bool, device=logps.device), None, torch.rand(shape, device=logps.device)
    weight = torch.ones(PAIRS, device=logps.device)
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        sides = [Completions(side, *rest) for side in logps]
        pair = PairLoss(weight, weight, weight, weight)
        regularization(pair, *sides, beta=0.1, static=False, length_normalised=False).sum().backward()
        best = min(best, time.perf_counter() - started)
    return best


def _trainer(options: argparse.Namespace, name: str, directory: str, model: Any = None) -> Any:
    import torch
    from transformers import AutoTokenizer, TrainerCallback

    class Clock(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            _wait_for_device()
            self.started, self.started_cpu = time.perf_counter(), time.process_time()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            _wait_for_device()
            trainer.step_times.append(time.perf_counter() - self.started)
            trainer.step_cpu.append(time.process_time() - self.started_cpu)

    model = _model(options) if model is None else model
    adapter = _adapter() if options.lora else None
    rows = make_rows(options.shape, model.config.vocab_size)
    common: dict[str, Any] = {
        "output_dir": directory,
        "use_cpu": not torch.cuda.is_available(),
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "per_device_train_batch_size": PAIRS,
        "max_steps": options.steps + 1,
        "num_train_epochs": options.steps + 1,
        "learning_rate": 1e-6,
        "logging_steps": 1,
        "gradient_checkpointing": options.checkpointing,
        "bf16": False,
        "dataloader_pin_memory": False,
    }
    if name == "trl":
        from datasets import Dataset
        from trl import DPOConfig, DPOTrainer

        tokenizer = AutoTokenizer.from_pretrained(options.model)
        reference = None
        if options.reference == "live" and not options.lora:  # with an adapter, the model without it is the reference
            reference = _model(options)
        arguments = DPOConfig(
            **common, max_length=MAX_LENGTH, precompute_ref_log_probs=options.reference == "precompute"
        )

        class Tokenized(DPOTrainer):  # type: ignore[misc]
            """The rows are token ids already, which its preparation does not take."""

            def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
                return dataset

        trainer: Any = Tokenized(
            model,
            reference,
            arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=adapter,
        )
    else:
        import numpy as np

        from tokenreward_trainer import Pair, PreferenceConfig, PreferenceTrainer

        random = np.random.default_rng(0)
        pairs = [
            Pair(
                str(index),
                *(tuple(row[part]) for part in ("prompt_ids", "chosen_ids", "rejected_ids")),
                *(
                    random.uniform(-0.5, 0.5, len(row[side])).astype(np.float32)
                    for side in ("chosen_ids", "rejected_ids")
                ),
            )
            for index, row in enumerate(rows)
        ]
        arguments = PreferenceConfig(
            **common,
            method="dpo",
            reg_alpha=0.25 if name == "ours-reg" else 0.0,
            forward_tokens=10**9 if name == "ours-one-pass" else 0,
            reference=options.reference,
            reference_cache=str(Path(directory) / "cache"),
        )
        trainer = PreferenceTrainer(model, arguments, pairs, peft_config=adapter)
    trainer.step_times, trainer.step_cpu = [], []
    trainer.add_callback(Clock())
    return trainer


def _wait_for_device() -> None:
    """Waits for what a GPU still has to do: the optimizer is queued on it when a step ends."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _model(options: argparse.Namespace) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    if options.random_weights:
        return drawn(Path(options.model), options.dtype)
    return AutoModelForCausalLM.from_pretrained(options.model, dtype=getattr(torch, options.dtype))


def _adapter() -> Any:
    from peft import LoraConfig

    projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=projections, task_type="CAUSAL_LM")


if __name__ == "__main__":
    raise SystemExit(main())
