"""The update of policy and value head on one iteration's responses: PPO's losses, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from tokenreward_trainer.data.collator import Collator, to_device
from tokenreward_trainer.data.grouping import by_length
from tokenreward_trainer.data.pair import Example
from tokenreward_trainer.model.scoring import attending
from tokenreward_trainer.rto.actor_critic import ActorCritic
from tokenreward_trainer.rto.experience import Experience
from tokenreward_trainer.rto.ppo_losses import clipped_policy_loss, clipped_value_loss
from tokenreward_trainer.rto.settings import Ppo


@dataclass(frozen=True)
class Updater:
    """Takes optimizer steps on experiences.

    Attributes:
        accelerator: Of the run.
        model: Policy and value head, as the accelerator prepared them.
        optimizer: Of both.
        scheduler: Of both learning rates.
        collator: Makes parts.
        max_tokens: The most tokens of a forward pass.
        ppo: The options.
    """

    accelerator: Accelerator
    model: ActorCritic
    optimizer: Any
    scheduler: Any
    collator: Collator
    max_tokens: int
    ppo: Ppo

    def update(self, experiences: Sequence[Experience], iteration: int) -> dict[str, float]:
        """Passes `epochs` times over the experiences, a minibatch a step.

        Args:
            experiences: Of one iteration.
            iteration: Its number, which with the seed decides on the order.

        Returns:
            Means over all tokens of all steps, by name.
        """
        order = np.random.default_rng([self.ppo.seed, iteration])
        sums = torch.zeros(5, dtype=torch.float64)
        norms = []
        for _ in range(self.ppo.epochs):
            shuffled = order.permutation(len(experiences))
            for start in range(0, len(shuffled), self.ppo.minibatch):
                batch = [experiences[index] for index in shuffled[start : start + self.ppo.minibatch]]
                sums += self._accumulate(batch)
                norms.append(float(self.accelerator.clip_grad_norm_(self.model.parameters(), self.ppo.max_grad_norm)))
                self.optimizer.step()
                self.scheduler.step()
                self.optimizer.zero_grad()
        count, *rest = sums.tolist()
        means = {name: total / count for name, total in zip(_NAMES, rest, strict=True)}
        return means | {"grad_norm": float(np.mean(norms)), "learning_rate": self.scheduler.get_last_lr()[0]}

    def _accumulate(self, batch: Sequence[Experience]) -> Tensor:
        """Adds up the gradient of the mean over the batch's tokens, a part at a time; returns sums for the log."""
        tokens = sum(len(experience.logps) for experience in batch)
        pairs = [experience.response for experience in batch]
        sums = torch.zeros(5, dtype=torch.float64)
        for group in by_length(pairs, self.max_tokens, self.collator.layout):
            examples = [Example(index, pairs[index]) for index in group]
            part = to_device(self.collator.part(examples), self.accelerator.device)
            with attending(self.model.policy, self.collator.layout):
                with self.accelerator.autocast():
                    logps, values = self.model(part)
                loss, found = self._loss(logps, values, [batch[index] for index in group])
                self.accelerator.backward(loss / tokens)
            sums += found
        return sums

    def _loss(self, logps: Tensor, values: Tensor, batch: Sequence[Experience]) -> tuple[Tensor, Tensor]:
        """The sum over all tokens of `batch`, and for the log the count of tokens and sums over them."""

        def grid(name: str) -> Tensor:
            rows = np.concatenate([getattr(experience, name) for experience in batch])
            return torch.from_numpy(rows).to(logps)

        old, advantages = grid("logps"), grid("advantages")
        policy = clipped_policy_loss(logps, old, advantages, self.ppo.clip)
        value = clipped_value_loss(values, grid("values"), grid("returns"), self.ppo.value_clip)
        log_ratio = (logps - old).detach()
        clipped = ((log_ratio.exp() - 1).abs() > self.ppo.clip).to(logps)
        # (rho - 1) - log rho: never negative, and its mean is KL(old || new) (http://joschu.net/blog/kl-approx.html).
        moved = log_ratio.exp() - 1 - log_ratio
        shown = torch.stack([torch.ones_like(logps), policy.detach(), value.detach(), clipped, moved]).sum(1)
        return (policy + value).sum(), shown.double().cpu()


#: What `_loss` sums up behind the count of tokens.
_NAMES = ("loss/policy", "loss/value", "ratio/clipped", "kl/update")
