"""Run by run with a causal bias aligned at the bottom right: on a GPU, where variable-length attention cannot.

That is float32 above all. No mask is made: torch hands the bias to its memory-efficient kernel as a flag. Key heads
are repeated, because `enable_gqa` would send the call to the kernel that holds every score in float32.
"""

from __future__ import annotations

import torch
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention

from tokenreward_workers.engines.packed.kernels.masked import along
from tokenreward_workers.engines.packed.layout import Call, Layout


def attend(call: Call, layout: Layout) -> torch.Tensor:
    """Attend for one run after the other."""
    out = torch.empty_like(call.query)
    for run in layout.pack.runs:
        key, value = (along(states, run).repeat_interleave(call.groups, 1) for states in (call.key, call.value))
        query = call.query[:, :, run.start : run.end]
        bias = causal_lower_right(query.shape[2], key.shape[2])
        out[:, :, run.start : run.end] = scaled_dot_product_attention(query, key, value, bias, scale=call.scale)
    return out.transpose(1, 2)
