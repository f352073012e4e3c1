"""Long responses through the packed engine: right, and with memory that does not grow with their square."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.harness.waiting import patience
from tokenreward_workers.engines.packed.mlp import bound_mlps
from tokenreward_workers.engines.packed.window import cost, parts
from tokenreward_workers.scoring import Scoring

#: Scores a response of 16,384 tokens beside short ones, and then all of them with plain float32 passes. A process of
#: its own, because what is measured is by how much the peak of its memory grows.
_LONG = """
import json, resource, sys
import numpy as np, torch
from pathlib import Path
from transformers import AutoModelForCausalLM
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.scoring import Scoring
path = Path(sys.argv[1])
dice = np.random.default_rng(5)
ids = lambda length: tuple(int(i) for i in dice.integers(3, 320, length))
prefix, rests, response = ids(100), {"better": ids(20), "worse": ids(30)}, ids(16_384)
work = [Scoring(prefix, rests, ids(20)), Scoring(prefix, rests, response), Scoring(ids(9), rests, ids(40))]
torch.set_num_threads(1)
engine = TransformersEngine(path, "float32", token_budget=1024)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
packed = [{b: row.logprobs for b, row in one.items()} for one in score_all(engine, work)]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
plain = [{} for _ in work]
for found, s in zip(plain, work):
    for branch, rest in s.branches.items():
        whole = torch.tensor([[*s.prefix, *rest, *s.response]])
        with torch.inference_mode():
            logprobs = model(whole, use_cache=False).logits[0].log_softmax(-1)
        found[branch] = logprobs[:-1].gather(-1, whole[0, 1:, None])[-len(s.response):, 0].numpy()
for name, scored in (("packed", packed), ("plain", plain)):
    np.savez(Path(sys.argv[2]) / name, **{f"{n}.{b}": v for n, one in enumerate(scored) for b, v in one.items()})
print(json.dumps({"grown_mib": (after - before) / 1024}))
"""


@pytest.fixture(scope="module")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import transformers

    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=32_768,
        initializer_range=0.3,
    )
    path = tmp_path_factory.mktemp("long")
    transformers.AutoModelForCausalLM.from_config(config).float().save_pretrained(path)
    return path


@pytest.mark.slow
def test_a_response_of_16k_tokens_is_right_and_its_memory_is_bounded(long_model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _LONG, str(long_model), str(tmp_path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=patience(500)).stdout
    scored = {way: np.load(tmp_path / f"{way}.npz") for way in ("packed", "plain")}
    assert len(scored["plain"].files) == 6
    for name in scored["plain"].files:
        assert np.abs(scored["packed"][name] - scored["plain"][name]).max() < 2e-3, name
        assert np.abs(scored["packed"][name] - scored["plain"][name]).mean() < 1e-4, name
    # One mask of 16k x 16k float32 is 1,024 MiB, and so are the scores of one head.
    assert json.loads(told.splitlines()[-1])["grown_mib"] < 400


def test_a_scoring_of_many_passes_is_read_a_few_branches_at_a_time() -> None:
    rests: dict[str, tuple[int, ...]] = {"a": (1,), "b": (2,), "c": (3,), "d": (4,)}
    long = Scoring((9,) * 100, rests, tuple(range(700)))
    read = list(parts([("key", long)], 1000))
    assert [list(scoring.branches) for ((_, scoring),) in read] == [["a", "b"], ["c", "d"]]
    assert all(cost(scoring) <= 2000 for ((_, scoring),) in read)
    assert list(parts([("key", long)], 10_000)) == [[("key", long)]]
    alone = list(parts([("key", long)], 64))
    assert [list(scoring.branches) for ((_, scoring),) in alone] == [["a"], ["b"], ["c"], ["d"]]


def test_an_mlp_reads_a_long_pass_in_pieces_and_gives_the_same(long_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(long_model, dtype=torch.float32).eval()
    hidden = torch.randn(1, 1000, 32)
    mlp = model.model.layers[0].mlp
    widest: list[int] = []
    mlp.act_fn.register_forward_hook(lambda module, given, out: widest.append(out.shape[1]))
    with torch.inference_mode():
        whole = mlp(hidden)
        bound_mlps(model, 64)
        torch.testing.assert_close(mlp(hidden), whole)
        assert max(widest[1:]) == 64
        bound_mlps(model, 10_000)
        assert torch.equal(mlp(hidden), whole)
