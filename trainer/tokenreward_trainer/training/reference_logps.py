"""The reference model's log-probs of every completion token: computed once, kept by the content they belong to."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import nn

from tokenreward_trainer.data.pair import BatchLayout, Pair
from tokenreward_trainer.model.devices import placed
from tokenreward_trainer.model.scorable import base_of
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.pair_scoring import PairLogps, score_pairs, without_adapter

#: Entries of a model's configuration that change no log-prob.
_NO_MATTER = ("_name_or_path", "transformers_version")


def default_cache() -> Path:
    """Returns the directory of precomputed log-probs under the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "tokenreward" / "reference"


def shared_reference_logps(
    model: nn.Module, pairs: Sequence[Pair], args: PreferenceConfig, accelerator: Accelerator, layout: BatchLayout
) -> list[PairLogps]:
    """Computes reference log-probs in every process's share of the pairs and gives all of them to each process.

    Args:
        model: The reference; a PEFT model's base stands for it.
        pairs: All pairs, the same in every process.
        args: Says on which device, with how many tokens a pass, and where the cache is.
        accelerator: Of the training.
        layout: The batch layout.

    Returns:
        Log-probs of every pair, in the order of `pairs`.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    share = pairs[rank::world]
    cache = Path(args.reference_cache) if args.reference_cache else default_cache()
    mine: list[PairLogps] = []
    if share:
        with placed(model, args.device), accelerator.autocast():
            mine = reference_logps(model, share, layout=layout, max_tokens=args.max_forward_tokens, cache=cache)
    if world == 1:
        return mine
    everyone: dict[int, PairLogps] = dict(gather_object([(rank + i * world, logps) for i, logps in enumerate(mine)]))
    return [everyone[index] for index in range(len(pairs))]


def reference_logps(
    model: nn.Module, pairs: Sequence[Pair], *, layout: BatchLayout, max_tokens: int, cache: Path
) -> list[PairLogps]:
    """Scores pairs by a model without its adapter, or reads what these weights have said of these pairs before.

    Two processes that compute the same file write the same content; the last to finish stands.

    Args:
        model: A scorable model.
        pairs: The pairs to score.
        layout: The batch layout.
        max_tokens: The most tokens of a forward pass (or one pair).
        cache: The directory of precomputed log-probs, one file a content.

    Returns:
        Log-probs of every pair, in the order of `pairs`.
    """
    with without_adapter(model):
        path = cache / f"{content_hash(model, pairs)}.safetensors"
        if path.exists():
            return _unpack(load_file(path), pairs)
        logps = score_pairs(model, pairs, layout=layout, max_tokens=max_tokens)
    _write(path, {side: np.concatenate([pair[i] for pair in logps]) for i, side in enumerate(("chosen", "rejected"))})
    return logps


def content_hash(model: nn.Module, pairs: Sequence[Pair]) -> str:
    """Hashes the base model's weights, configuration and arithmetic, and the pairs' ids; not labels or paths."""
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
