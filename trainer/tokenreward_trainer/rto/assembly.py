"""What an RTO run is made of: policy, value head, reference, dense rewards, and the optimizer over the first two."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from transformers import get_scheduler

from tokenreward.http import Client
from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.pair import Pair, Values
from tokenreward_trainer.model.layout_check import choose_layout
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.rto.actor_critic import ActorCritic
from tokenreward_trainer.rto.dense_rewards import DenseRewards, DpoRewards, NoDenseRewards, ServiceRewards
from tokenreward_trainer.rto.settings import RtoRun
from tokenreward_trainer.rto.update import Updater
from tokenreward_trainer.training.live_reference import as_reference, frozen, frozen_copy
from tokenreward_trainer.training.model_loading import load_adapted, load_model, lora_config
from tokenreward_trainer.training.pair_scoring import score_pairs
from tokenreward_trainer.training.preparation import check_precision, without_dropout
from tokenreward_trainer.training.vocabulary import padding_of


@dataclass(frozen=True)
class Parts:
    """The parts of one run, on its device.

    Attributes:
        policy: The model, or the model with its new adapter.
        model: Policy and value head.
        reference: The reference model; the policy itself where its adapter is off for that.
        dense: Gives dense rewards.
        updater: Moves `model`.
        collator: Makes parts of batches.
        max_tokens: The most tokens of a forward pass.
    """

    policy: Any
    model: ActorCritic
    reference: nn.Module
    dense: DenseRewards
    updater: Updater
    collator: Collator
    max_tokens: int

    def reference_logps(self, responses: list[Pair]) -> list[Values]:
        """Returns the log-probs of responses under the reference."""
        layout = self.collator.layout
        with as_reference(self.reference, layout):
            scored = score_pairs(self.reference, responses, layout=layout, max_tokens=self.max_tokens)
        return [logps for logps, _ in scored]


def assembled(run: RtoRun, accelerator: Accelerator, stack: ExitStack) -> Parts:
    """Loads and prepares the parts.

    Args:
        run: The settings.
        accelerator: Prepares them, and says on which device.
        stack: Closes the connection to a service.

    Raises:
        BadInput: A model cannot be loaded or trained.
    """
    policy: Any = load_model(run.model.name, run.model)
    if (config := lora_config(run.lora)) is not None:
        from peft import get_peft_model

        policy = get_peft_model(policy, config)
    without_dropout(policy)
    check_precision(policy)
    make_scorable(policy)
    policy.to(accelerator.device)
    max_tokens = run.ppo.forward_tokens or (1024 if accelerator.device.type == "cpu" else 16384)
    collator = Collator(
        choose_layout(policy, "auto")[0],
        pad_token=padding_of(policy),
        side_by_side=accelerator.device.type != "cpu",
    )
    if run.model.reference is not None:
        reference: nn.Module = frozen(load_model(run.model.reference, run.model)).to(accelerator.device)
    else:  # An adapter's reference is its base.
        reference = policy if hasattr(policy, "disable_adapter") else frozen_copy(policy)
    model, optimizer, scheduler = _prepared(run, accelerator, policy)
    updater = Updater(accelerator, model, optimizer, scheduler, collator, max_tokens, run.ppo)
    dense = _dense(run, accelerator.device, max_tokens, stack)
    return Parts(policy, model, reference, dense, updater, collator, max_tokens)


def _prepared(run: RtoRun, accelerator: Accelerator, policy: nn.Module) -> tuple[ActorCritic, Any, Any]:
    """Policy and value head with their optimizer and its schedule."""
    model, ppo = ActorCritic(policy).to(accelerator.device), run.ppo
    rates = [
        {"params": [p for p in policy.parameters() if p.requires_grad], "lr": ppo.learning_rate},
        {"params": list(model.value_head.parameters()), "lr": ppo.value_learning_rate},
    ]
    optimizer = torch.optim.AdamW(rates, weight_decay=0.0)
    steps = ppo.iterations * ppo.epochs * -(-ppo.prompts * run.sample.n // ppo.minibatch)
    schedule = "constant_with_warmup" if ppo.lr_scheduler_type == "constant" else ppo.lr_scheduler_type
    scheduler = get_scheduler(schedule, optimizer, round(ppo.warmup * steps), steps)
    prepared: tuple[ActorCritic, Any, Any] = accelerator.prepare(model, optimizer, scheduler)
    return prepared


def _dense(run: RtoRun, device: torch.device, max_tokens: int, stack: ExitStack) -> DenseRewards:
    if run.rewards.source == "none":
        return NoDenseRewards()
    if run.rewards.source == "service":
        return ServiceRewards(stack.enter_context(Client(run.rewards.url)), run.rewards)
    assert run.rewards.dpo is not None
    model, _ = load_adapted(run.rewards.dpo, run.model.name, run.model)
    return DpoRewards(model.to(device), max_tokens)
