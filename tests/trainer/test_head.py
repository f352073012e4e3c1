"""Chunked log-probs: the same numbers and gradients as the plain formula, without its memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tokenreward_trainer.model.chunked_lm_head import Reference, TokenScores, token_scores
from tokenreward_trainer.model.lm_head import Head

N, H, V = 13, 6, 29


def case(*, bias: bool = False, scale: float = 1.0, softcap: float | None = None) -> tuple[Tensor, Tensor, Head]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    head = Head(draw(V, H), draw(V) if bias else None, scale, softcap)
    return draw(N, H), torch.randint(0, V, (N,), generator=generator), head


def reference() -> Reference:
    hidden, _, head = case(softcap=2.0)
    return Reference(hidden.detach().flip(0), Head(head.weight.detach().flip(0), None, 1.0, 2.0))


def plain(hidden: Tensor, targets: Tensor, head: Head, ref: Reference | None) -> TokenScores:
    """The formulas, over whole [N, V] logits."""

    def log_probs(states: Tensor, of: Head) -> Tensor:
        logits = of.scale * (states @ of.weight.T + (0 if of.bias is None else of.bias))
        return (logits if of.softcap is None else of.softcap * torch.tanh(logits / of.softcap)).log_softmax(-1)

    logp = log_probs(hidden, head)
    kl = None
    if ref is not None:
        ref_logp = log_probs(ref.hidden, ref.head)
        kl = (ref_logp.exp() * (ref_logp - logp)).sum(-1)
    return TokenScores(logp.gather(-1, targets[:, None])[:, 0], (2 * logp).logsumexp(-1).detach(), kl)


SHAPES = [
    {},
    {"bias": True},
    {"scale": 0.3},
    {"softcap": 1.5},
    {"bias": True, "scale": 2.0, "softcap": 1.5},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rows", [1, 5, N, 100])
@pytest.mark.parametrize("with_kl", [False, True], ids=["", "kl"])
def test_chunks_give_the_values_and_gradients_of_the_plain_formula(shape: dict, rows: int, with_kl: bool) -> None:
    ref = reference() if with_kl else None
    hidden, targets, head = case(**shape)
    extras = {"log_collision"} | ({"kl"} if with_kl else set())
    found = token_scores(hidden, targets, head, extras=extras, reference=ref, chunk_rows=rows)
    expected = plain(hidden, targets, head, ref)
    torch.testing.assert_close(found.logps, expected.logps, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.log_collision, expected.log_collision, rtol=1e-12, atol=1e-12)

    leaves = [leaf for leaf in (hidden, head.weight, head.bias) if leaf is not None]
    weights = torch.linspace(-1, 2, N, dtype=torch.float64)
    totals = []
    for scores in (found, expected):
        total = (weights * scores.logps).sum()
        if with_kl:
            assert scores.kl is not None
            total = total + (weights.flip(0) * scores.kl).sum()
        totals.append(torch.autograd.grad(total, leaves))
    if with_kl:
        torch.testing.assert_close(found.kl, expected.kl, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(totals[0], totals[1], rtol=1e-10, atol=1e-12)


def test_the_reference_log_probs_come_along_with_the_kl() -> None:
    hidden, targets, head = case()
    ref = reference()
    found = token_scores(hidden, targets, head, extras={"kl"}, reference=ref)
    own = token_scores(ref.hidden, targets, ref.head)
    torch.testing.assert_close(found.ref_logps, own.logps)


def test_a_frozen_head_gets_no_gradient_and_costs_none() -> None:
    hidden, targets, head = case()
    frozen = Head(head.weight.detach())
    token_scores(hidden, targets, frozen).logps.sum().backward()
    assert hidden.grad is not None
    assert frozen.weight.grad is None


def test_bfloat16_hidden_states_give_float32_log_probs() -> None:
    hidden, targets, head = case()
    low = Head(head.weight.detach().bfloat16())
    found = token_scores(hidden.detach().bfloat16(), targets, low).logps
    assert found.dtype == torch.float32
    expected = token_scores(hidden, targets, head).logps.float()
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


def test_autocast_sets_the_dtype_of_both_passes() -> None:
    hidden, targets, head = case()
    single = Head(head.weight.detach().float().requires_grad_())
    states = hidden.detach().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logps = token_scores(states, targets, single).logps
    assert logps.dtype == torch.float32
    logps.sum().backward()
    assert states.grad is not None
    assert states.grad.dtype == torch.float32


def test_no_tensor_is_as_large_as_tokens_times_vocabulary() -> None:
    """Every result of every operation of both passes, watched."""
    from torch.utils._python_dispatch import TorchDispatchMode

    tokens, vocabulary = 512, 4096
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.numel())
            return result

    hidden = torch.randn(tokens, 8, requires_grad=True)
    head = Head(torch.randn(vocabulary, 8, requires_grad=True))
    with Watch():
        scores = token_scores(
            hidden,
            torch.zeros(tokens, dtype=torch.long),
            head,
            extras={"log_collision"},
            chunk_rows=64,
        )
        scores.logps.sum().backward()
    assert largest <= 64 * vocabulary


@pytest.mark.parametrize("with_kl", [False, True], ids=["", "kl"])
def test_the_backward_pass_normalises_no_logits_a_second_time(with_kl: bool) -> None:
    """The log-partitions are kept: they cost as much as all the rest that is done to the logits."""
    from torch.utils._python_dispatch import TorchDispatchMode

    names: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            names.append(str(func))
            return func(*args, **(kwargs or {}))

    hidden, targets, head = case()
    ref, extras = (reference(), {"kl"}) if with_kl else (None, set())
    total = token_scores(hidden, targets, head, extras=extras, reference=ref, chunk_rows=5).logps.sum()
    with Watch():
        total.backward()
    assert any("exp" in name for name in names)
    assert not [name for name in names if "logsumexp" in name]
