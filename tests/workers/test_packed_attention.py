"""The kernels of packed attention against each other, and against one run at a time with a whole mask.

torch's variable-length attention runs on GPUs only; `emulated` stands in for it here, with its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tokenreward_workers.engines.packed import attention
from tokenreward_workers.engines.packed.kernels import lower_right, masked, varlen
from tokenreward_workers.engines.packed.layout import Call, Layout, launches
from tokenreward_workers.engines.packed.tree import Pack, indices, pack
from tokenreward_workers.scoring import Scoring


def random_ids(seed: int, length: int) -> tuple[int, ...]:
    return tuple(int(i) for i in np.random.default_rng(seed).integers(3, 320, length))


def tangled_pack() -> Pack:
    """Runs with and without a shared beginning, short and long, on paths of several stretches."""
    question, answer = random_ids(1, 60), random_ids(2, 90)
    rests = {"better": random_ids(3, 9), "worse": random_ids(4, 12)}
    work = [
        Scoring(question, rests, answer),
        Scoring(question, rests, (*answer[:50], *random_ids(5, 30))),
        Scoring(question[:30], rests, answer),
        Scoring((), rests, random_ids(6, 3)),
        Scoring(random_ids(7, 200), {"only": ()}, answer),
    ]
    return pack(enumerate(work))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine two threads wait for each other many times longer than these small products take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def a_call(size: int, window: int | None = None, softcap: float | None = None, groups: int = 2) -> Call:
    dice = torch.Generator().manual_seed(size)
    query, key, value = (torch.randn(1, heads, size, 16, generator=dice) for heads in (2 * groups, 2, 2))
    return Call(query, key, value, 0.3, window, softcap)


def one_by_one(call: Call, packed: Pack) -> torch.Tensor:
    """Attention written out: every run on its own, all scores at once."""
    out = torch.empty_like(call.query)
    for run in packed.runs:
        path = torch.from_numpy(indices(run.path))
        key, value = (s[:, :, path].repeat_interleave(call.groups, 1) for s in (call.key, call.value))
        scores = call.query[:, :, run.start : run.end] @ key.transpose(2, 3) * call.scale
        if call.softcap is not None:
            scores = torch.tanh(scores / call.softcap) * call.softcap
        behind = torch.arange(run.shared, run.length)[:, None] - torch.arange(run.length)
        hidden = behind < 0 if call.window is None else (behind < 0) | (behind >= call.window)
        out[:, :, run.start : run.end] = scores.masked_fill(hidden, -torch.inf).softmax(-1) @ value
    return out.transpose(1, 2)


def emulated(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> torch.Tensor:
    """torch's `varlen_attn` by its documentation, and by FlashAttention's rule for windows: key j is seen by query i
    if i + K - Q - left <= j <= i + K - Q + right, where -1 stands for no bound."""
    assert query.shape[1] == key.shape[1] or enable_gqa
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    out = torch.empty_like(query)
    groups = query.shape[1] // key.shape[1]
    for n in range(len(cu_seq_q) - 1):
        q = query[int(cu_seq_q[n]) : int(cu_seq_q[n + 1])].transpose(0, 1)
        of = slice(int(cu_seq_k[n]), int(cu_seq_k[n + 1]))
        k, v = (states[of].transpose(0, 1).repeat_interleave(groups, 0) for states in (key, value))
        assert q.shape[1] <= max_q
        assert k.shape[1] <= max_k
        ahead = torch.arange(k.shape[1]) - torch.arange(q.shape[1])[:, None] - (k.shape[1] - q.shape[1])
        left, right = window_size
        seen = torch.ones_like(ahead, dtype=torch.bool)
        seen &= (ahead >= -left) if left >= 0 else seen
        seen &= (ahead <= right) if right >= 0 else seen
        scores = q @ k.transpose(1, 2) * (q.shape[-1] ** -0.5 if scale is None else scale)
        attended = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v
        out[int(cu_seq_q[n]) : int(cu_seq_q[n + 1])] = attended.transpose(0, 1)
    return out


@pytest.fixture
def with_varlen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """`kernels.varlen` on the emulation; the list holds the runs of every launch."""
    launched: list[int] = []

    def counted(*given: Any, scale: float, window_size: tuple[int, int], enable_gqa: bool = False) -> torch.Tensor:
        launched.append(len(given[3]) - 1)
        return emulated(*given, scale=scale, window_size=window_size, enable_gqa=enable_gqa)

    monkeypatch.setattr(varlen, "installed", lambda: counted)
    return launched


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("window", [None, 7, 24, 1000])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_masked_attention_is_attention_written_out(
    groups: int, window: int | None, softcap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tangled_pack()
    call = a_call(len(packed.ids), window, softcap, groups)
    expected = one_by_one(call, packed)
    for rows in (512, 16):
        monkeypatch.setattr(masked, "_ROWS", rows)
        monkeypatch.setattr(masked, "_SCORES_BYTES", rows * 4 * call.query.shape[1] * 200)
        torch.testing.assert_close(masked.attend(call, Layout(packed, lambda: None)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
def test_a_causal_bias_at_the_lower_right_is_attention_written_out(groups: int) -> None:
    packed = tangled_pack()
    call = a_call(len(packed.ids), groups=groups)
    attended = lower_right.attend(call, Layout(packed, lambda: None))
    torch.testing.assert_close(attended, one_by_one(call, packed), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("window", [None, 7, 1000])
def test_variable_length_attention_is_attention_written_out_in_one_launch(
    groups: int, window: int | None, with_varlen: list[int]
) -> None:
    packed = tangled_pack()
    call = a_call(len(packed.ids), window, groups=groups)
    layout = Layout(packed, lambda: None)
    torch.testing.assert_close(varlen.attend(call, layout), one_by_one(call, packed), atol=1e-5, rtol=1e-5)
    assert with_varlen == [len(packed.runs)]
    kept = layout.launches
    varlen.attend(call, layout)
    assert layout.launches is kept, "the next layer works nothing out again"


def test_long_paths_are_gathered_a_few_at_a_time(with_varlen: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tangled_pack()
    call = a_call(len(packed.ids))
    monkeypatch.setattr(varlen, "_GATHERED_BYTES", 300 * 2 * 2 * 16 * 4)
    attended = varlen.attend(call, Layout(packed, lambda: None))
    torch.testing.assert_close(attended, one_by_one(call, packed), atol=1e-5, rtol=1e-5)
    assert len(with_varlen) > 1
    assert sum(with_varlen) == len(packed.runs)
    for launch in launches(packed, 300, torch.device("cpu")):
        keys = launch.end - launch.start if launch.gather is None else len(launch.gather)
        assert keys <= 300 or len(launch.query_bounds) == 2


def test_the_emulation_takes_every_argument_that_the_installed_torch_gets() -> None:
    real = varlen.installed()
    assert real is not None, "this torch has no variable-length attention that takes a scale and a window"
    import inspect

    parameters = inspect.signature(real).parameters
    assert list(parameters)[:7] == list(inspect.signature(emulated).parameters)[:7]
    assert {"scale", "window_size"} <= set(parameters)


def test_a_torch_whose_variable_length_attention_takes_no_scale_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.nn.attention.varlen as module

    def of_torch_2_10(query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, is_causal: bool = False) -> None:
        raise AssertionError

    varlen.installed.cache_clear()
    monkeypatch.setattr(module, "varlen_attn", of_torch_2_10)
    try:
        assert varlen.installed() is None
    finally:
        varlen.installed.cache_clear()


def test_heads_are_shared_by_name_only_where_the_kernel_knows_the_word() -> None:
    def older(query: Any, key: Any, *, scale: Any = None, window_size: Any = None) -> None:
        raise AssertionError

    assert varlen._sharing(emulated, 2) == {"enable_gqa": True}
    assert varlen._sharing(emulated, 1) == {}
    assert varlen._sharing(older, 2) == {}


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] = (9, 0)) -> None:
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)


def half(size: int, window: int | None = None, softcap: float | None = None) -> Call:
    query, key = (torch.zeros(1, heads, 4, size, dtype=torch.bfloat16) for heads in (4, 2))
    return Call(query, key, key, 0.3, window, softcap)


def test_the_kernel_is_chosen_by_what_the_card_and_the_layer_allow(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert attention.choose(half(128)) is masked.attend
    on_a_gpu(monkeypatch)
    attention._warn_slow.cache_clear()
    assert attention.choose(half(128)) is varlen.attend
    assert attention.choose(half(128, window=512)) is varlen.attend
    assert not caplog.records
    assert attention.choose(half(128, softcap=50.0)) is masked.attend
    assert attention.choose(half(100)) is lower_right.attend
    assert attention.choose(a_call(8)) is lower_right.attend
    assert attention.choose(a_call(8, window=4)) is masked.attend
    assert "slower" in caplog.text
    on_a_gpu(monkeypatch, (7, 5))
    assert attention.choose(half(128)) is lower_right.attend


def test_what_packing_cannot_honour_is_refused() -> None:
    call = a_call(4)
    refused: list[dict[str, Any]] = [{"s_aux": torch.zeros(2)}, {"dropout": 0.1}]
    layer: Callable[..., Any] = attention.tree_attention
    for given in refused:
        with pytest.raises(NotImplementedError, match="cannot honour"):
            layer(torch.nn.Module(), call.query, call.key, call.value, None, **given)
    with pytest.raises(NotImplementedError, match="a mask"):
        layer(torch.nn.Module(), call.query, call.key, call.value, torch.zeros(4, 4))


def test_every_index_of_some_stretches() -> None:
    assert indices([(3, 6), (10, 10), (0, 2)]).tolist() == [3, 4, 5, 0, 1]
    assert indices([]).tolist() == []


def test_a_long_run_is_read_in_blocks_with_a_sign_of_life_before_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked, "_LONGEST_WHOLE", 300)
    monkeypatch.setattr(masked, "_ROWS", 100)
    packed = pack([(0, Scoring(random_ids(1, 30), {"only": ()}, random_ids(2, 421)))])
    signs: list[int] = []
    call = a_call(450)
    out = masked.attend(call, Layout(packed, lambda: signs.append(1)))
    assert len(signs) == 5
    torch.testing.assert_close(out, one_by_one(call, packed), atol=1e-5, rtol=1e-5)
