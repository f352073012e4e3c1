"""Proves on a few tokens that scoring gives what the model's own logits say, and chooses the batch layout by it.

A sliding window or a chunk of attention shows only in texts that are longer than it. Some models keep it in their
attention mask alone, which packed attention does not read. So the check is made with the windows made small
(`narrow_windows`), and with texts that are longer than these.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from tokenreward.errors import BadInput
from tokenreward_trainer.data.collator import Collator, to_device
from tokenreward_trainer.data.pair import BatchLayout, Example, Pair
from tokenreward_trainer.model.narrow_windows import NARROW, narrow_windows
from tokenreward_trainer.model.packed_attention import PackingUnsupported, row_options
from tokenreward_trainer.model.scorable import base_of, head_of
from tokenreward_trainer.model.scoring import attending, score

#: What two kernels in 16 bits may differ by, in units of their precision. A window that is not kept differs by more.
_HALF_TOLERANCE = 16


def choose_layout(model: nn.Module, wanted: str) -> tuple[BatchLayout, str | None]:
    """Chooses the layout to train in.

    Args:
        model: A scorable model.
        wanted: `packed`, `padded`, or `auto`: packed where the model gives the same log-probs that way.

    Returns:
        The layout, and where `auto` did not take the packed one, why.

    Raises:
        BadInput: The model's own log-probs are not what scoring gives, or its attention cannot be checked.
    """
    reason, attention = None, base_of(model).config._attn_implementation or ""
    if attention.startswith("flash"):
        raise BadInput(
            f"attention = {attention!r} runs in 16 bits and on GPUs only, where log-probs cannot be compared with the "
            "model's own: leave it out. The packed layout brings its own attention, which is as fast"
        )
    if wanted in ("auto", "packed"):
        reason = _disagreement(model, Collator("packed"))
        if reason is None and torch.accelerator.is_available():
            reason = _disagreement(model, Collator("packed", side_by_side=True))
        if reason is None:
            return "packed", None
        if wanted == "packed":
            raise BadInput(f"layout = 'packed' does not work with this model: {reason}. Use layout = 'padded'")
    padded = _disagreement(model, Collator("padded"))
    if padded is not None:
        raise BadInput(f"this model cannot be trained here: {padded}. Its head or its attention mask is unusual")
    return "padded", reason


def checked_row_options(
    model: nn.Module, device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, Any], str | None]:
    """Chooses how a model attends to packed rows on its device.

    Args:
        model: A scorable model, which the packed layout is right for, on the device.
        device: The device.
        dtype: What training computes in.

    Returns:
        The collator's options, and where a variable-length call would be possible but is not right, why.
    """
    options = row_options(base_of(model), device, dtype)
    if not options["varlen"]:
        return options, None
    tolerance = max(_HALF_TOLERANCE * torch.finfo(dtype).eps, _tolerance(torch.float32))
    mixed = dtype != base_of(model).dtype
    with torch.autocast(device.type, dtype) if mixed else nullcontext():
        why = _disagreement(model, Collator("packed", **options), tolerance)
    return (options, None) if why is None else ({"varlen": False, "side_by_side": True}, why)


@torch.no_grad()
def _disagreement(model: nn.Module, collator: Collator, tolerance: float | None = None) -> str | None:
    """None if the scores of a few tiny pairs are the model's own; else what is wrong."""
    base = base_of(model)
    training = model.training
    model.eval()
    try:
        with narrow_windows(base) as window:
            return _difference(model, collator, _tiny_pairs(head_of(base).weight.shape[0], window), tolerance)
    finally:
        model.train(training)


def _difference(model: nn.Module, collator: Collator, pairs: list[Pair], tolerance: float | None) -> str | None:
    base = base_of(model)
    tolerance = _tolerance(base.dtype) if tolerance is None else tolerance
    try:
        with attending(model, collator.layout):
            part = collator.part([Example(i, pair) for i, pair in enumerate(pairs)])
            found = score(model, to_device(part, base.device)).logps
    except PackingUnsupported as trouble:
        return str(trouble)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as trouble:
        return f"{type(trouble).__name__}: {str(trouble).splitlines()[0]}"
    completions = [(p.prompt, p.chosen) for p in pairs] + [(p.prompt, p.rejected) for p in pairs]
    for row, (prompt, completion) in enumerate(completions):
        own = _own_logps(model, prompt, completion, found)
        worst = (found[row, : len(completion)] - own).abs().max().item()
        if not worst <= tolerance * max(1.0, own.abs().max().item()):
            return f"log-probs are off by {worst:.2g} from the model's own logits"
    return None


def _tolerance(dtype: torch.dtype) -> float:
    """Even a float64 model has float32 parts (norms, soft-capped attention)."""
    return 64 * max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)


def _tiny_pairs(vocabulary: int, window: int) -> list[Pair]:
    """Pairs of differing lengths; where there is a window, one whose prompt and rejected completion are longer."""
    generator = torch.Generator().manual_seed(0)

    def draw(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(0, vocabulary, (length,), generator=generator).tolist())

    pairs = [Pair("a", draw(5), draw(4), draw(6)), Pair("b", draw(3), draw(5), draw(2))]
    return pairs if window == 0 else [*pairs, Pair("c", draw(window + 3), draw(4), draw(NARROW + 5))]


def _own_logps(model: nn.Module, prompt: tuple[int, ...], completion: tuple[int, ...], like: Tensor) -> Tensor:
    ids = torch.tensor([prompt + completion], device=like.device)
    logits: Tensor = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    return logits.to(like.dtype).log_softmax(-1).gather(-1, ids[0, len(prompt) :].unsqueeze(-1)).squeeze(-1)
