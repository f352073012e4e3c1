"""One optimizer step of a small run, written to a file: alone (`main`), or as two gloo processes (`run_two`).

    python -m tests.support.two_processes OUT BATCH ACCUMULATION FORWARD_TOKENS [SHARDING]

runs it as two. Modules are imported once, and the second process is a fork. SHARDING is `fsdp` or `zero3`; without it
every process holds the whole model. The model is in float64, but for ZeRO-3, which has no float64.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.waiting import patience
from tests.support.tiny_models import build_llama, build_pairs
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer

SHARDINGS: dict[str, dict[str, Any]] = {
    "": {},
    "fsdp": {"fsdp": True},
    "zero3": {
        "deepspeed": {
            "train_micro_batch_size_per_gpu": "auto",
            "gradient_accumulation_steps": "auto",
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0},
        }
    },
}


def main(out: str, batch: str, accumulation: str, forward_tokens: str, sharding: str = "", kind: str = "") -> None:
    """Takes the step and writes the parameters, the log, and log-probs and evaluation afterwards."""
    torch.set_num_threads(1)
    dtype = torch.float32 if "zero3" in (sharding, kind) else torch.float64
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
        **SHARDINGS[sharding],
    )
    pairs = build_pairs(8)
    trainer = PreferenceTrainer(build_llama(dtype), options, pairs, pairs[:4], ref_model=build_llama(dtype, seed=1))
    before = trainer.token_logps(pairs[:2])
    trainer.train()
    after = trainer.token_logps(pairs[:2])
    loss = trainer.evaluate()["eval_loss"]
    trainer.save_model(f"{out}.model")
    moved = {name: _whole(p) for name, p in trainer.model.named_parameters()}
    if trainer.is_world_process_zero():
        content = {"parameters": moved, "log": trainer.state.log_history[0], "eval_loss": loss}
        torch.save(content | {"logps": [before, after], "layout": trainer.layout}, Path(out))


def _whole(parameter: Tensor) -> Tensor:
    """A parameter of which this process may hold a shard; every process has to ask."""
    if hasattr(parameter, "full_tensor"):
        return parameter.full_tensor().detach()
    if hasattr(parameter, "ds_id"):
        from deepspeed.zero import GatheredParameters  # type: ignore[import-not-found]

        with GatheredParameters([parameter]):
            return parameter.detach().clone()
    return parameter.detach()


def run_two(*arguments: str) -> None:
    """Runs this module as two processes, and fails with what they said if one of them does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.two_processes", *arguments],
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "DS_ACCELERATOR": "cpu"} | meeting,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(200),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


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
