"""One forward pass over a pack: token ids in, the rows of every branch out."""

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
from tokenreward_workers.engines.packed.wanted_rows import WantedRows
from tokenreward_workers.scoring import Scored


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
            np.concatenate([asked.rows for asked in pack.asked]),
            np.concatenate([asked.targets for asked in pack.asked]),
        )
    )
    layers = int(model.config.get_text_config().num_hidden_layers)
    with attention.attending(pack, alive) as layout:
        body = _decoder(model)(input_ids=ids[None], position_ids=positions[None], use_cache=False)
    if layout.layers != layers:
        raise NotImplementedError(f"{layout.layers} of its {layers} layers are attention that can be packed")
    wanted = WantedRows(pack.asked, targets)
    hidden = body.last_hidden_state[0].index_select(0, rows)
    logprobs = head.log_probs(hidden, targets, alive, wanted.add).cpu().numpy()
    scored: dict[Key, Scored] = {asked.key: {} for asked in pack.asked}
    for asked, row in zip(pack.asked, wanted.rows(logprobs), strict=True):
        scored[asked.key][asked.branch] = row
    return scored


def _decoder(model: Any) -> Any:
    """The model without its LM head. Llama 4 keeps it under another name than it says, and gives itself instead."""
    return model.model if model.base_model is model else model.base_model
