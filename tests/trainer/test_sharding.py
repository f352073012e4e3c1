"""Weights in shards over two processes: the same step as one process takes, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from tests.support import two_processes
from tests.support.tiny_models import build_pairs
from tokenreward.errors import BadInput
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer

MakeConfig = Callable[..., PreferenceConfig]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sharding", "tolerance"),
    [
        ("fsdp", 1e-9),
        pytest.param(
            "zero3", 2e-4, marks=pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
        ),
    ],
)
def test_two_processes_that_shard_the_weights_take_the_same_step_as_one(
    sharding: str, tolerance: float, tmp_path: Path
) -> None:
    alone, both = tmp_path / "one.pt", tmp_path / "two.pt"
    two_processes.main(str(alone), "8", "1", "10000", "", sharding)
    two_processes.run_two(str(both), "2", "2", "10000", sharding)
    one, two = (torch.load(file, weights_only=False) for file in (alone, both))
    torch.testing.assert_close(two["parameters"], one["parameters"], rtol=tolerance, atol=tolerance)
    for name in ("loss", "rewards/margins", "logps/chosen", "token_rewards/correlation"):
        assert two["log"][name] == pytest.approx(one["log"][name], rel=1e-5), name
    assert two["eval_loss"] == pytest.approx(one["eval_loss"], rel=1e-5)
    for moment in (0, 1):  # Before and after.
        for ours, theirs in zip(two["logps"][moment], one["logps"][moment], strict=True):
            for side in (0, 1):
                torch.testing.assert_close(
                    *(torch.as_tensor(each[side]) for each in (ours, theirs)), rtol=tolerance, atol=10 * tolerance
                )
    assert two["layout"] == "packed"
    saved = load_file(tmp_path / "two.pt.model" / "model.safetensors")
    for name, tensor in two["parameters"].items():
        torch.testing.assert_close(saved[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("processes", "options", "says"),
    [
        (1, {"fsdp": True}, "there is one: start with `accelerate launch"),
        (1, {"fsdp": "full_shard"}, "there is one: start with `accelerate launch"),
        (2, {"fsdp": True, "fsdp_config": {"version": 1}}, "FSDP2 is used"),
        (2, {"fsdp": True, "fsdp_config": {"cpu_ram_efficient_loading": True}}, "without weights"),
    ],
)
def test_sharding_that_would_do_nothing_or_cannot_work_is_refused(
    processes: int,
    options: dict[str, object],
    says: str,
    config: MakeConfig,
    llama: Callable[..., PreTrainedModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = config(**options)
    monkeypatch.setattr(PreferenceConfig, "world_size", property(lambda _: processes))
    with pytest.raises(BadInput, match=says):
        PreferenceTrainer(llama(), arguments, build_pairs(4))
