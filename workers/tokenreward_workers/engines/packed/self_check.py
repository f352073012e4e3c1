"""What an engine proves before it scores: texts get the same log-probs packed as in a plain pass.

A short text proves the kernels, the sharing of prefixes, the MLPs in pieces and the LM head on this very model. It
does not reach the end of a sliding window or of a chunk of attention, so those are proved besides: by the short text
under a window that is made shorter for the moment, in the plain pass and in the packed one, and by a text that is
longer than the window where the machine can afford two passes of it. A window that lives in the model's mask alone,
which packing does not use, shows both ways. What can be proved in neither way is refused, unless `max_tokens` keeps
every sequence inside the window.

In half precision small errors hide in the rounding. A small model is therefore proved once more as a float32 copy,
where the two passes have to agree to within 1e-3 in every token; tests compare whole architectures to within 1e-4.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tokenreward.errors import BadInput
from tokenreward_workers.engines.lengths import WINDOWS, windows
from tokenreward_workers.engines.packed import attention
from tokenreward_workers.engines.packed.forward import forward
from tokenreward_workers.engines.packed.heads import Head, head_of
from tokenreward_workers.engines.packed.mlp import bound_mlps
from tokenreward_workers.engines.packed.tree import pack
from tokenreward_workers.scoring import LogProbs, Scoring

#: Log-probs of plain passes, by branch.
_Plain = dict[str, LogProbs]

#: Mean difference of log-probs that is still the rounding of that type.
_ROUNDING = {"float32": 1e-3, "float16": 0.2, "bfloat16": 0.2}
#: The largest difference of a token's log-prob in float32.
_EXACT = 1e-3
#: Tokens of the longest sequence of the short text, of a window that is made shorter, and beyond the end of a real one.
_SHORT, _WINDOW, _BEYOND = 160, 24, 64
#: Parameters of a model that is proved in float32 besides; 4 bytes each for the moment.
_COPIED = 50_000_000
#: Operations of a pass, and tokens, that a long text may cost. Plain attention holds scores of tokens x tokens x heads.
_OPERATIONS = {"cpu": 1e12, "cuda": 1e14}
_LONGEST = 2304


@torch.inference_mode()
def check(model: Any, head: Head, dtype: str, max_tokens: int) -> None:
    """Compare packs of two branches with plain passes through transformers' own attention.

    Args:
        model: From `loading.load_model`.
        head: Its head.
        dtype: Of the weights.
        max_tokens: The longest sequence that is to be scored.

    Raises:
        BadInput: They differ, so that this model cannot be scored in packs, or not beyond its window.
    """
    _prove(model, head, dtype, max_tokens, exact=False)
    if sum(parameter.numel() for parameter in model.parameters()) > _COPIED or hasattr(model, "hf_quantizer"):
        return
    exact = copy.deepcopy(model).float()
    for module in exact.modules():
        module.__dict__.pop("forward", None)  # `bound_mlps` has bound it to the model that was copied
    bound_mlps(exact, _SHORT // 4)
    _prove(exact, head_of(exact, None), "float32", max_tokens, exact=True)


def _prove(model: Any, head: Head, dtype: str, max_tokens: int, *, exact: bool) -> None:
    def compare(length: int, window: int | None = None, unlike: Mapping[str, LogProbs] | None = None) -> _Plain:
        return _compare(model, head, dtype, length, exact=exact, window=window, unlike=unlike)

    short = min(_SHORT, max_tokens)
    ends = [size for size in windows(model.config.get_text_config()) if size < max_tokens]
    compare(min([short, *ends]))
    if not ends:
        return
    plain = compare(short, ends[0])
    if ends[-1] <= short // 2:
        return
    with _shortened(model):
        changed = compare(short, ends[0], plain)
    if _affordable(model, long := min(ends[-1] + _BEYOND, max_tokens)):
        compare(long, ends[0])
    elif _apart(plain, changed) == 0:  # nothing that a shorter window would have changed was proved
        raise BadInput(
            f"{model.config.model_type} models cannot be proved beyond their window of {ends[0]} tokens here: give "
            f"--max-tokens {ends[0]} or less, or take engine vllm"
        )


def _compare(
    model: Any,
    head: Head,
    dtype: str,
    length: int,
    *,
    exact: bool,
    window: int | None = None,
    unlike: Mapping[str, LogProbs] | None = None,
) -> _Plain:
    """Score a text both ways.

    Args:
        model: See `check`.
        head: See `check`.
        dtype: See `check`.
        length: Tokens of the longest branch.
        exact: Whether every token has to agree, or all of them in the mean.
        window: The window that is being proved, for the message.
        unlike: Plain log-probs under another window. Packed ones have to be much nearer to these here than those are.

    Returns:
        The log-probs of each branch by the plain passes.

    Raises:
        BadInput: They differ.
    """
    scoring = _text(min(head.vocabulary, 1000), length)
    beyond = f" beyond their window of {window} tokens" if window else ""
    what = f"{model.config.model_type} models cannot be scored in packs{beyond}"
    advice = f"; give --max-tokens {window} or less, or take engine vllm" if window else ""
    try:
        scored = forward(model, head, pack([("", scoring)]), lambda: None)[""]
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise BadInput(f"{what}: {error}{advice}") from error
    packed = {branch: row.logprobs for branch, row in scored.items()}
    plain = _plain(model, head, scoring)
    most = max(float(np.abs(plain[branch] - packed[branch]).max()) for branch in plain)
    apart, allowed = (most, _EXACT) if exact else (_apart(plain, packed), _ROUNDING[dtype])
    if unlike is not None and (effect := _apart(plain, unlike)) > 0 and not exact:
        allowed = min(allowed, effect / 2)
    if not apart < allowed:
        raise BadInput(f"{what}: log-probs are {apart:.3g} off a plain pass{advice}")
    return plain


def _apart(one: Mapping[str, LogProbs], other: Mapping[str, LogProbs]) -> float:
    """The mean |difference| of the branch where it is largest."""
    return max(float(np.abs(one[branch] - other[branch]).mean()) for branch in one)


def _plain(model: Any, head: Head, scoring: Scoring) -> _Plain:
    device = next(model.parameters()).device
    found = {}
    model.set_attn_implementation("eager")
    try:
        for branch, rest in scoring.branches.items():
            whole = torch.tensor([[*scoring.prefix, *rest, *scoring.response]], device=device)
            rows = head.plain(model(input_ids=whole, use_cache=False).logits[0], whole[0])
            found[branch] = rows[-len(scoring.response) :].cpu().numpy()
    finally:
        model.set_attn_implementation(attention.NAME)
    return found


def _text(vocabulary: int, length: int) -> Scoring:
    """Two branches of `length` tokens and a few less, most of which they share."""
    ids = [int(token) for token in np.random.default_rng(11).integers(0, vocabulary, length + 8)]
    response = max(1, length // 3)
    rest = max(1, length // 8)
    prefix = max(1, length - response - rest)
    branches = {"a": tuple(ids[prefix : prefix + rest]), "b": tuple(ids[prefix + 2 : prefix + 2 + max(1, rest // 2)])}
    return Scoring(tuple(ids[:prefix]), branches, tuple(ids[-response:]))


def _affordable(model: Any, length: int) -> bool:
    operations = 2 * length * sum(parameter.numel() for parameter in model.parameters())
    return length <= _LONGEST and operations <= _OPERATIONS.get(next(model.parameters()).device.type, 1e12)


@contextmanager
def _shortened(model: Any) -> Iterator[None]:
    """While the context lasts, every window is `_WINDOW` tokens: in the configuration and where layers keep it."""
    owners: list[Any] = [model.config, model.config.get_text_config(), *model.modules()]
    owners += [module.config for module in model.modules() if hasattr(module, "config")]
    before = []
    for owner in {id(owner): owner for owner in owners}.values():
        for name in WINDOWS:
            size = getattr(owner, name, None)
            if isinstance(size, int) and not isinstance(size, bool) and size > _WINDOW:
                before.append((owner, name, size))
                setattr(owner, name, _WINDOW)
    try:
        yield
    finally:
        for owner, name, size in before:
            setattr(owner, name, size)
