"""One forward pass over a pack: token ids in, log-probs of every branch out, and one wait for the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tokenreward_workers.engines.base import Key
from tokenreward_workers.engines.packed import attention
from tokenreward_workers.engines.packed.heads import Head
from tokenreward_workers.engines.packed.layout import on_device
from tokenreward_workers.engines.packed.tree import Pack
from tokenreward_workers.scoring import Row, Scored


@torch.inference_mode()
def forward(model: Any, head: Head, pack: Pack, alive: Callable[[], object]) -> dict[Key, Scored]:
    """Score a pack.

    Args:
        model: From `loading.load_model`.
        head: Its head.
        pack: The tokens.
        alive: Called as each layer begins to attend, and before each chunk of logits.

    Returns:
        The rows of every scoring, as far as its branches are in this pack.

    Raises:
        NotImplementedError: Some layer is no attention that can be packed.
    """
    device = next(model.parameters()).device
    ids, positions, rows, targets = (
        on_device(array, device)
        for array in (
            pack.ids,
            pack.positions,
            np.concatenate([wanted.rows for wanted in pack.wanted]),
            np.concatenate([wanted.targets for wanted in pack.wanted]),
        )
    )
    layers = int(model.config.get_text_config().num_hidden_layers)
    with attention.attending(pack, alive) as layout:
        body = _decoder(model)(input_ids=ids[None], position_ids=positions[None], use_cache=False)
    if layout.layers != layers:
        raise NotImplementedError(f"{layout.layers} of its {layers} layers are attention that can be packed")
    logprobs = head.log_probs(body.last_hidden_state[0].index_select(0, rows), targets, alive).cpu().numpy()
    scored: dict[Key, Scored] = {wanted.key: {} for wanted in pack.wanted}
    at = 0
    for wanted in pack.wanted:
        scored[wanted.key][wanted.branch] = Row(logprobs[at : at + len(wanted.targets)])
        at += len(wanted.targets)
    return scored


def _decoder(model: Any) -> Any:
    """The model without its LM head. Llama 4 keeps it under another name than it says, and gives itself instead."""
    return model.model if model.base_model is model else model.base_model
