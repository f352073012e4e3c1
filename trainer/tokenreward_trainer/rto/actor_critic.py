"""Policy and value head in one module: log-probs of a batch's response tokens, and the value expected before each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tokenreward_trainer.data.collator import Collator, to_device
from tokenreward_trainer.data.grouping import by_length
from tokenreward_trainer.data.pair import Batch, Example, Pair, Values
from tokenreward_trainer.model.chunked_lm_head import token_scores
from tokenreward_trainer.model.scorable import base_of, head_of
from tokenreward_trainer.model.scoring import attending, hidden_states


class ActorCritic(nn.Module):
    """A policy with a linear value head on its last hidden states.

    The head's gradient stops at the hidden states: what is expected of a response should not change what is said.

    Args:
        policy: A scorable model. The head begins at zero, and so expects nothing.

    Attributes:
        policy: The model.
        value_head: `[H] -> [1]`, float32.
    """

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        self.policy = policy
        size = base_of(policy).get_output_embeddings().weight.shape[1]
        self.value_head = nn.Linear(size, 1, dtype=torch.promote_types(base_of(policy).dtype, torch.float32))
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def forward(self, part: Batch) -> tuple[Tensor, Tensor]:
        """Scores single responses.

        Args:
            part: What `Collator.part` made of them, on the policy's device. Within `attending`.

        Returns:
            Log-probs and values, both `[N]` over the tokens of all responses in the part's order, differentiable.
        """
        hidden = hidden_states(self.policy, part)
        logps = token_scores(hidden, part["targets"], head_of(base_of(self.policy))).logps
        with torch.autocast(hidden.device.type, enabled=False):
            values = self.value_head(hidden.detach().to(self.value_head.weight.dtype)).squeeze(-1)
        return logps, values


@torch.no_grad()
def evaluated(
    model: ActorCritic, responses: Sequence[Pair], collator: Collator, max_tokens: int
) -> list[tuple[Values, Values]]:
    """Scores responses without gradients.

    Args:
        model: The policy and its value head.
        responses: Single responses.
        collator: Makes the parts.
        max_tokens: The most tokens of a forward pass (or one response).

    Returns:
        Log-probs and values of each response, in their order.
    """
    found: dict[int, tuple[Values, Values]] = {}
    device = base_of(model.policy).device
    for group in by_length(responses, max_tokens, collator.layout):
        part = to_device(collator.part([Example(index, responses[index]) for index in group]), device)
        with attending(model.policy, collator.layout):
            logps, values = (scores.float().cpu() for scores in model(part))
        lengths = [len(responses[index].chosen) for index in group]
        rows = zip(logps.split(lengths), values.split(lengths), strict=True)
        found |= {index: (row.numpy(), value.numpy()) for index, (row, value) in zip(group, rows, strict=True)}
    return [found[index] for index in range(len(responses))]
