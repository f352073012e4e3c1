"""One optimizer step of a float64 run, written to a file: alone (`main`), or as two gloo processes.

    python -m tests.support.two_processes OUT BATCH ACCUMULATION FORWARD_TOKENS

runs it as two. Modules are imported once, and the second process is a fork.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import torch

from tests.support.tiny_models import build_llama, build_pairs
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer


def main(out: str, batch: str, accumulation: str, forward_tokens: str) -> None:
    torch.set_num_threads(1)
    options = PreferenceConfig(
        output_dir=f"{out}.run",
        reference_cache=f"{out}.cache",
        use_cpu=True,
        ddp_backend="gloo" if "RANK" in os.environ else None,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        per_device_train_batch_size=int(batch),
        gradient_accumulation_steps=int(accumulation),
        forward_tokens=int(forward_tokens),
        max_steps=1,
        optim="sgd",
        learning_rate=1.0,
        lr_scheduler_type="constant",
        warmup_steps=0,
        max_grad_norm=0,
        logging_steps=1,
        reg_alpha=0.25,
        beta=0.3,
    )
    trainer = PreferenceTrainer(
        build_llama(torch.float64), options, build_pairs(8), ref_model=build_llama(torch.float64, seed=1)
    )
    trainer.train()
    if trainer.is_world_process_zero():
        moved = {name: p.detach() for name, p in trainer.model.named_parameters()}
        torch.save({"parameters": moved, "log": trainer.state.log_history[0]}, Path(out))


def in_two(*arguments: str) -> None:
    """Runs `main` as rank 0 here and as rank 1 in a fork; the environment says where they meet."""
    other = os.fork()
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = "1" if other == 0 else "0"
    if other == 0:
        status = 1
        try:
            main(*arguments)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    main(*arguments)
    _, status = os.waitpid(other, 0)
    if status != 0:
        raise SystemExit(f"rank 1 ended with {status}")


if __name__ == "__main__":
    in_two(*sys.argv[1:])
