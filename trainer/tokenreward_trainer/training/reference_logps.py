"""The reference model's log-probs of every completion token: computed once, kept by the content they belong to."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import nn

from tokenreward_trainer.data.collator import Collator, by_length, to_device
from tokenreward_trainer.data.pair import Example, Layout, Pair, Values
from tokenreward_trainer.model.scoring import attending, base_of, score

PairLogps = tuple[Values, Values]

_NO_MATTER = ("_name_or_path", "transformers_version")


def default_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "tokenreward" / "reference"


def without_adapter(model: nn.Module) -> AbstractContextManager[None]:
    """Within, a PEFT model is its base; any other model is itself."""
    disable: Callable[[], AbstractContextManager[None]] | None = getattr(model, "disable_adapter", None)
    return disable() if disable is not None and hasattr(model, "get_base_model") else nullcontext()


@torch.no_grad()
def score_pairs(
    model: nn.Module, pairs: Sequence[Pair], *, layout: Layout, max_tokens: int, extras: Collection[str] = ()
) -> list[PairLogps]:
    """(chosen [C], rejected [R]) log-probs of every pair under a scorable model, in the order of `pairs`."""
    found: list[PairLogps | None] = [None] * len(pairs)
    device, training = base_of(model).device, model.training
    model.eval()
    try:
        for group in by_length(pairs, max_tokens, layout):
            # Labels play no part here, and need not be there for all.
            plain = [Example(i, replace(pairs[i], chosen_rewards=None, rejected_rewards=None)) for i in group]
            batch = to_device(Collator(layout).part(plain), device)
            with attending(model, layout):
                grid = score(model, batch, extras=extras).logps.cpu().numpy()
            for row, index in enumerate(group):
                found[index] = (
                    grid[row, : len(pairs[index].chosen)],
                    grid[len(group) + row, : len(pairs[index].rejected)],
                )
    finally:
        model.train(training)
    return [logps for logps in found if logps is not None]


def reference_logps(
    model: nn.Module, pairs: Sequence[Pair], *, layout: Layout, max_tokens: int, cache: Path
) -> list[PairLogps]:
    """`score_pairs` of the model without its adapter, read from `cache` if these weights have scored these pairs.

    Two processes that compute the same file write the same content; the last to finish stands.
    """
    with without_adapter(model):
        path = cache / f"{content_hash(model, pairs)}.safetensors"
        if path.exists():
            return _unpack(load_file(path), pairs)
        logps = score_pairs(model, pairs, layout=layout, max_tokens=max_tokens)
    _write(path, {side: np.concatenate([pair[i] for pair in logps]) for i, side in enumerate(("chosen", "rejected"))})
    return logps


def content_hash(model: nn.Module, pairs: Sequence[Pair]) -> str:
    """Of the base model's weights, configuration and arithmetic, and of the pairs' ids; not of labels or paths."""
    base = base_of(model)
    digest = hashlib.blake2b(digest_size=16)
    config = {name: value for name, value in base.config.to_diff_dict().items() if name not in _NO_MATTER}
    device = base.device.type
    autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    digest.update(repr((sorted(config.items()), autocast)).encode())
    for name, tensor in base.state_dict().items():
        if "lora_" in name or ".modules_to_save." in name:
            continue
        digest.update(f"{name.replace('.base_layer', '')} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy())
    for pair in pairs:
        for ids in (pair.prompt, pair.chosen, pair.rejected):
            digest.update(np.asarray([len(ids), *ids], dtype=np.int64).tobytes())
    return digest.hexdigest()


def _unpack(arrays: dict[str, NDArray[np.floating]], pairs: Sequence[Pair]) -> list[PairLogps]:
    chosen = np.split(arrays["chosen"], np.cumsum([len(pair.chosen) for pair in pairs])[:-1])
    rejected = np.split(arrays["rejected"], np.cumsum([len(pair.rejected) for pair in pairs])[:-1])
    return list(zip(chosen, rejected, strict=True))


def _write(path: Path, arrays: dict[str, NDArray[np.floating]]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        save_file(arrays, temporary)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
