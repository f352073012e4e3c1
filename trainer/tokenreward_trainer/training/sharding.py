"""Weights in shards over several processes: FSDP2 and DeepSpeed ZeRO-3, on GPUs and, to prove them, on CPUs.

A model is loaded whole in each process and sharded when training begins. So the layout can be checked, reference
log-probs can be computed and an adapter can be added before that, as in one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import TrainerCallback
from transformers.integrations import deepspeed

from tokenreward.errors import BadInput

if TYPE_CHECKING:
    from tokenreward_trainer.training.config import PreferenceConfig


def check_sharding(args: PreferenceConfig) -> None:
    """Checks the options of FSDP and DeepSpeed once transformers has read them.

    Raises:
        BadInput: They cannot work, or would change nothing.
    """
    if not args.fsdp:
        return
    if args.world_size == 1:
        raise BadInput(
            "fsdp shards the weights over several processes, and there is one: start with `accelerate launch "
            "--num_processes N -m tokenreward_trainer.cli ...`, or leave fsdp out"
        )
    if int(args.fsdp_config.get("version", 2)) != 2:
        raise BadInput("fsdp_config.version = 1 is at its end in transformers: leave it out, and FSDP2 is used")
    if args.fsdp_plugin_args and args.fsdp_plugin_args.get("cpu_ram_efficient_loading"):
        raise BadInput(
            "fsdp_config.cpu_ram_efficient_loading leaves all processes but the first without weights, which the "
            "check of the layout and reference log-probs need: leave it out"
        )


def shard_on_cpus(accelerator: Accelerator, args: PreferenceConfig) -> bool:
    """Makes an accelerator use FSDP2 between CPU processes, where accelerate would silently run DDP instead.

    Args:
        accelerator: As the Trainer has made it.
        args: Its options.

    Returns:
        Whether the options ask for it. On GPUs accelerate does it itself.

    Raises:
        BadInput: FSDP is asked for on a kind of device where nobody shards.
    """
    state = accelerator.state
    if not args.fsdp or state.distributed_type == DistributedType.FSDP:
        return False
    if state.distributed_type != DistributedType.MULTI_CPU:
        raise BadInput(f"fsdp does not work with {state.distributed_type.value}: leave it out")
    plugin = FullyShardedDataParallelPlugin(**args.fsdp_plugin_args)
    if accelerator.mixed_precision != "no":
        plugin.set_mixed_precision(accelerator.mixed_precision)
    state.distributed_type, state.fsdp_plugin = DistributedType.FSDP, plugin
    PartialState().distributed_type = DistributedType.FSDP  # Each new view of the state is taken from there.
    return True


class SummedGradients(TrainerCallback):  # type: ignore[misc]
    """Has FSDP2 sum gradients and divide them itself: gloo, which connects CPU processes, knows no averages."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: nn.Module, **kwargs: Any) -> None:
        """Looks at the model once it is in shards."""
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_force_sum_reduction_for_comms(True)


def in_shards(model: nn.Module) -> bool:
    """Whether DeepSpeed ZeRO-3 holds a model's weights already, so that nothing can be computed with it as it is."""
    return any(hasattr(parameter, "ds_id") for parameter in model.parameters())


@contextmanager
def loaded_whole() -> Iterator[None]:
    """Keeps transformers from loading models into shards of DeepSpeed ZeRO-3 within the context."""
    reference: Any = deepspeed._hf_deepspeed_config_weak_ref
    config = None if reference is None else reference()
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            deepspeed.set_hf_deepspeed_config(config)
