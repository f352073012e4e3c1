"""What an engine proves before it scores: a short text gets the same log-probs packed as in a plain pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tokenreward.errors import BadInput
from tokenreward_workers.engines.packed import attention
from tokenreward_workers.engines.packed.forward import forward
from tokenreward_workers.engines.packed.head import LmHead
from tokenreward_workers.engines.packed.tree import pack
from tokenreward_workers.scoring import Scoring

#: Mean difference of log-probs that is still the rounding of that type.
_ROUNDING = {"float32": 1e-3, "float16": 0.2, "bfloat16": 0.2}


@torch.inference_mode()
def check(model: Any, head: LmHead, dtype: str) -> None:
    """Compare a pack of two branches with plain passes through transformers' own attention.

    Raises:
        BadInput: They differ, so that models of this architecture cannot be scored in packs.
    """
    kind = model.config.model_type
    vocabulary = min(head.vocabulary, 1000)
    ids = tuple((7 * n * n + 3 * n + 11) % vocabulary for n in range(64))
    scoring = Scoring(ids[:24], {"a": ids[24:30], "b": ids[31:33]}, ids[40:])
    try:
        packed = forward(model, head, pack([("", scoring)]), lambda: None)[""]
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise BadInput(f"{kind} models cannot be scored in packs: {error}") from error
    model.set_attn_implementation("eager")
    device = next(model.parameters()).device
    for branch, rest in scoring.branches.items():
        whole = torch.tensor([[*scoring.prefix, *rest, *scoring.response]], device=device)
        logits = model(input_ids=whole, use_cache=False).logits[0].float().log_softmax(-1)
        plain = logits[:-1].gather(-1, whole[0, 1:, None])[-len(scoring.response) :, 0].cpu().numpy()
        apart = float(np.abs(plain - packed[branch].logprobs).mean())
        if not apart < _ROUNDING[dtype]:
            raise BadInput(f"{kind} models cannot be scored in packs: log-probs are {apart:.3g} off a plain pass")
    model.set_attn_implementation(attention.NAME)
