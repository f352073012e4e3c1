"""TRL 1.16's own clients and trainers against a served model: a tiny one in float32, and the demo model."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from benchmarks.harness.stack import Stack, running
from tests.support.tiny_checkpoint import save_checkpoint
from tokenreward_workers.model_files.resolve import resolve_model

CHATS = [
    ("Name the capitals of France and Italy.", "The capital of France is Paris, and the capital of Italy is Rome."),
    ("When does water boil?", "Water boils at 100 degrees Celsius, which is 212 degrees Fahrenheit, at sea level."),
    ("Count to ten.", "One, two, three, four, five, six, seven, eight, nine, ten."),
]
EXAMPLES = Path(__file__).parents[2] / "examples" / "trainers"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"), max_position_embeddings=1024)


@pytest.fixture(scope="module")
def served(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"TOKENREWARD_MODEL": str(checkpoint), "TOKENREWARD_DTYPE": "float32"}
    with Stack(tmp_path_factory.mktemp("served"), settings) as stack:
        stack.start_worker(engine="transformers")
        stack.start_api()
        stack.wait_ready()
        yield stack


@pytest.fixture
def example(served: Stack, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs an example of training with the served tiny model as its policy."""
    monkeypatch.setenv("TOKENREWARD_URL", served.url)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def run(name: str, *arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [name, "--model", str(checkpoint), "--out", str(tmp_path), *arguments])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return run


def local_logprobs(path: Path, ids: list[int]) -> np.ndarray:
    """float32 `[T - 1, vocabulary]`, by transformers alone."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0, :-1].float(), -1).numpy()


def test_grpo_trains_with_the_reward_of_every_token(example: Any, served: Stack) -> None:
    from tokenreward.integrations.labeler import Labeler

    trainer = example("trl_grpo.py", "--steps", "2")["trainer"]
    assert trainer.state.global_step == 2
    output = trainer._generate_and_score_completions([{"prompt": [{"role": "user", "content": "2+2?"}]}] * 4)
    kept = output["completion_mask"].bool()
    assert output["advantages"].shape == output["completion_ids"].shape
    ids = output["completion_ids"][0][kept[0]].tolist()
    (rewards,) = Labeler(served.url).rewards([{"prompt": "2+2?", "token_ids": ids}])
    own = output["advantages"][0][kept[0]].tolist()
    centred = [value - 0.5 * reward for value, reward in zip(own, rewards, strict=True)]
    assert centred == pytest.approx([centred[0]] * len(centred), abs=1e-5)


def test_dpo_takes_its_reference_from_the_service(example: Any, checkpoint: Path) -> None:
    trainer = example("trl_dpo.py", "--steps", "1")["trainer"]
    assert trainer.ref_model is None
    row = trainer.train_dataset[0]
    ids = [*row["prompt_ids"], *row["rejected_ids"]]
    rows = local_logprobs(checkpoint, ids)
    start = len(row["prompt_ids"])
    local = sum(float(rows[place - 1, ids[place]]) for place in range(start, len(ids)))
    assert row["ref_rejected_logps"] == pytest.approx(local, abs=1e-2)


def test_distillation_trains_on_the_served_teachers_likeliest_tokens(example: Any, served: Stack) -> None:
    trainer = example("trl_distillation.py", "--teacher", served.url, "--steps", "2")["trainer"]
    assert trainer.state.global_step == 2
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert np.isfinite(losses).all()


def test_trls_client_gets_what_a_local_float32_teacher_computes(tmp_path: Path) -> None:
    """Of the demo model in bfloat16 with a float32 head, as docs/integrations.md advises for a teacher."""
    from trl.generation.vllm_client import VLLMClient

    path = resolve_model("demo").path
    tokenizer = AutoTokenizer.from_pretrained(path)
    sequences, starts = [], []
    for question, answer in CHATS:
        asked = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]
        sequences.append([*prompt, *tokenizer(answer)["input_ids"]])
        starts.append(len(prompt))
    with running(tmp_path, engine="transformers", TOKENREWARD_HEAD_DTYPE="float32") as teacher:
        client = VLLMClient(base_url=teacher.url, connection_timeout=10)
        found = client.get_sequence_logprobs(sequences, starts, top_logprobs=100)
    apart, apart_of_top = [], []
    for ids, start, given, best, names in zip(
        sequences, starts, found["actual_logprobs"], found["logprobs"], found["logprob_token_ids"], strict=True
    ):
        local = local_logprobs(path, ids)[start - 1 :]
        assert np.shape(best) == (len(ids) - start, 100)
        apart += [abs(row[0] - local[n, ids[start + n]]) for n, row in enumerate(given) if np.isfinite(row[0])]
        apart_of_top += np.abs(np.take_along_axis(local, np.array(names), 1) - np.array(best)).ravel().tolist()
    assert np.mean(apart_of_top) <= 0.1
    assert np.mean(apart) <= 0.02
    assert np.max(apart) <= 0.35
