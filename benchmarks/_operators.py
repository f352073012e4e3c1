"""Operator calls of one training step, ours on a card's code path beside TRL's, counted on the CPU by torch's profiler.

On a card a step of a small model takes as long as its operators take to be launched, so their number is what can be
compared without one. Both trainers train the same model, as deep as one of 1.5 billion weights and very narrow, on four
pairs of 512 tokens, which need no padding. The variable-length attention kernel is a stand-in that counts as one call.

A step is counted up to the optimizer: forward pass, backward pass and gradient clipping. What the optimizer does is the
same in both, and one call on a card, where the CPU takes one parameter after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

#: A call of one of these waits until the device has done everything before it.
_WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal")
_LAYERS = 28


def operators(trainer_of: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Count the second step of each trainer.

    Args:
        trainer_of: Makes the trainer of a name, `ours` or `trl`, for a model.

    Returns:
        `operators_vs_trl`; `operators`, the calls of each; `operator_waits`, our calls that wait for the device.
    """
    from benchmarks.harness.varlen_stand_in import card_path

    calls = {}
    for name in ("trl", "ours"):
        with card_path() if name == "ours" else nullcontext():
            calls[name] = _second_step(trainer_of(name, _model()))
    totals = {name: sum(found.values()) for name, found in calls.items()}
    return {
        "operators_vs_trl": round(totals["ours"] / totals["trl"], 3),
        "operators": totals,
        "operator_waits": sum(calls["ours"][name] for name in _WAITS),
        "most_called": {name: dict(found.most_common(12)) for name, found in calls.items()},
    }


def _model() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def _second_step(trainer: Any) -> Counter[str]:
    """The operators that the trainer's second step calls; the first may set things up."""
    from torch.profiler import ProfilerActivity, profile
    from transformers import TrainerCallback

    found: Counter[str] = Counter()

    class Count(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.profile = profile(activities=[ProfilerActivity.CPU]) if state.global_step == 1 else None
            if self.profile is not None:
                self.profile.__enter__()

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if self.profile is not None:
                self.profile.__exit__(None, None, None)
                found.update(event.name for event in self.profile.events() if _is_call(event))

    trainer.add_callback(Count())
    trainer.train()
    return found


def _is_call(event: Any) -> bool:
    from benchmarks.harness.varlen_stand_in import NAMESPACE

    if not event.name.startswith(("aten::", f"{NAMESPACE}::")):
        return False
    above = event.cpu_parent
    while above is not None and not above.name.startswith(f"{NAMESPACE}::"):
        above = above.cpu_parent
    return above is None
