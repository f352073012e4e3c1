"""The LM head: log-probs of the rows that are asked for, a bounded number of logits at a time.

Its logits may be of a wider type than the body's states. Rounded to bfloat16, logits of about 20 are off by up to
1/16, and the difference of two branches, which is what a reward is made of, by as much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tokenreward.errors import BadInput

#: float32 logits held at a time on a CPU, in bytes.
LOGITS_BYTES = 64 * 2**20
#: Rows at a time on a GPU, where fewer would leave it idle, and at most.
_LEAST_ROWS, _MOST_ROWS = 1024, 4096


class LmHead:
    """The output layer of a loaded model.

    Attributes:
        dtype: Of the logits: "float32", or the body's.
        vocabulary: How many logits a row has.
        rows: How many rows are computed at a time.
    """

    def __init__(self, model: Any, dtype: str | None) -> None:
        """Take the head of `model`.

        Args:
            model: From transformers, on its device.
            dtype: Of the logits. None: float32 on a GPU, and the body's type on a CPU, where float32 takes longer.

        Raises:
            BadInput: The head is no plain linear layer, so that its type cannot be chosen.
        """
        self._head = model.get_output_embeddings()
        weight = self._head.weight
        body = str(weight.dtype).removeprefix("torch.")
        plain = type(self._head) is torch.nn.Linear and weight.is_floating_point()
        if dtype is None:
            dtype = "float32" if plain and weight.is_cuda else body
        if dtype not in ("float32", body):
            raise BadInput(f"head_dtype {dtype!r} is neither float32 nor the model's own {body}")
        if dtype != body and not plain:
            raise BadInput(f"head_dtype {dtype!r}: this model's LM head is no plain linear layer; leave head_dtype out")
        self.dtype = dtype
        self.vocabulary = int(weight.shape[0])
        self._wide = None if dtype == body or weight.is_cuda else weight.detach().float()
        self._mixed = dtype != body and weight.is_cuda
        self._scale, self._cap = _logit_shape(model.config.get_text_config())
        self.rows = 0
        self.bound()

    def bound(self) -> None:
        """Set how many rows fit the memory that is free now. Logits are there three times while they are worked on."""
        each = 4 * self.vocabulary
        if self._head.weight.is_cuda:
            device = self._head.weight.device
            free = torch.cuda.mem_get_info(device)[0]
            free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            wanted = min(_MOST_ROWS, free // 4 // (3 * each))
            self.rows = max(_LEAST_ROWS, wanted) if free > 3 * each * _LEAST_ROWS else max(1, wanted)
        else:
            self.rows = max(1, LOGITS_BYTES // each)

    def log_probs(
        self,
        hidden: torch.Tensor,
        targets: torch.Tensor,
        alive: Callable[[], object],
        seen: Callable[[int, torch.Tensor], object] | None = None,
    ) -> torch.Tensor:
        """Compute the log-prob of each target.

        Args:
            hidden: `[R, H]`, the body's last states.
            targets: int64 `[R]`, on the same device.
            alive: Called before each chunk of rows.
            seen: Called with the first row of each chunk and its logits, for whoever wants more of them.

        Returns:
            float32 `[R]`, on the same device; nothing waits for it.
        """
        out = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        for at in range(0, len(targets), self.rows):
            alive()
            logits = self._logits(hidden[at : at + self.rows])
            if seen is not None:
                seen(at, logits)
            logprobs = logits.log_softmax(-1, dtype=torch.float32)
            out[at : at + self.rows] = logprobs.gather(-1, targets[at : at + self.rows, None])[:, 0]
        return out

    def plain(self, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Return the same from the logits of a plain pass.

        Args:
            logits: `[L, V]`.
            ids: int64 `[L]`, the tokens that were read.

        Returns:
            float32 `[L - 1]`: the log-prob of every token but the first.
        """
        return logits[:-1].float().log_softmax(-1).gather(-1, ids[1:, None])[:, 0]

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        bias = self._head.bias if self._wide is not None or self._mixed else None
        if self._wide is not None:
            logits = torch.nn.functional.linear(hidden.float(), self._wide, None if bias is None else bias.float())
        elif self._mixed:
            logits = torch.mm(hidden, self._head.weight.t(), out_dtype=torch.float32)
            logits = logits if bias is None else logits.add_(bias)
        else:
            logits = self._head(hidden)
        if self._scale is not None:
            logits = logits.float() * self._scale
        if self._cap is not None:
            logits = torch.tanh(logits.float() / self._cap) * self._cap
        return logits


def _logit_shape(config: Any) -> tuple[float | None, float | None]:
    """(factor, soft cap) that the model applies to its logits after the LM head."""
    factor = getattr(config, "logit_scale", None)  # Cohere
    if getattr(config, "logits_scaling", None):  # Granite
        factor = 1.0 / config.logits_scaling
    return factor, getattr(config, "final_logit_softcapping", None)
