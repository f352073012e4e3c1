"""TODO: what this module owns."""

from __future__ import annotations

import torch
from torch import nn

from tokenreward.errors import BadInput
from tokenreward_trainer.data.collator import Collator, to_device
from tokenreward_trainer.data.pair import Example, Layout, Pair
from tokenreward_trainer.model.packed_attention import PackingUnsupported
from tokenreward_trainer.model.scoring import attending, base_of, head_of, score


def choose_layout(model: nn.Module, wanted: str) -> tuple[Layout, str | None]:
    """The layout to train in, and why not the packed one if it was left to choose.

    Raises BadInput if the model's own log-probs are not what scoring gives.
    """
    reason, attention = None, base_of(model).config._attn_implementation or ""
    if attention.startswith("flash"):
        raise BadInput(
            f"attention = {attention!r} runs in 16 bits and on GPUs only, where log-probs cannot be compared with the "
            "model's own: leave it out. The packed layout brings its own attention, which is as fast"
        )
    if wanted in ("auto", "packed"):
        reason = _disagreement(model, "packed")
        if reason is None:
            return "packed", None
        if wanted == "packed":
            raise BadInput(f"layout = 'packed' does not work with this model: {reason}. Use layout = 'padded'")
    padded = _disagreement(model, "padded")
    if padded is not None:
        raise BadInput(f"this model cannot be trained here: {padded}. Its head or its attention mask is unusual")
    return "padded", reason


@torch.no_grad()
def _disagreement(model: nn.Module, layout: Layout) -> str | None:
    """None if the scores of two tiny pairs are the model's own; else what is wrong."""
    base = base_of(model)
    generator = torch.Generator().manual_seed(0)
    vocabulary = head_of(base).weight.shape[0]

    def draw(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(0, vocabulary, (length,), generator=generator).tolist())

    pairs = [Pair("a", draw(5), draw(4), draw(6)), Pair("b", draw(3), draw(5), draw(2))]
    training = model.training
    model.eval()
    try:
        with attending(model, layout):
            batch = to_device(Collator(layout).part([Example(i, pair) for i, pair in enumerate(pairs)]), base.device)
            found = score(model, batch).logps
    except PackingUnsupported as trouble:
        return str(trouble)
    except (TypeError, ValueError, RuntimeError, IndexError) as trouble:
        return f"{type(trouble).__name__}: {str(trouble).splitlines()[0]}"
    finally:
        model.train(training)
    try:
        model.eval()
        for row, (prompt, completion) in enumerate(
            [(p.prompt, p.chosen) for p in pairs] + [(p.prompt, p.rejected) for p in pairs]
        ):
            ids = torch.tensor([prompt + completion], device=base.device)
            logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
            own = logits.to(found.dtype).log_softmax(-1).gather(-1, ids[0, len(prompt) :].unsqueeze(-1)).squeeze(-1)
            worst = (found[row, : len(completion)] - own).abs().max().item()
            # Even a float64 model has float32 parts (norms, soft-capped attention).
            precision = max(torch.finfo(base.dtype).eps, torch.finfo(torch.float32).eps)
            allowed = 64 * precision * max(1.0, own.abs().max().item())
            if not worst <= allowed:
                return f"log-probs are off by {worst:.2g} from the model's own logits"
    finally:
        model.train(training)
    return None
