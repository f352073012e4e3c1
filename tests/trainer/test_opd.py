"""Offline distillation: reverse KL on samples, forward KL over top k, and whose labels they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.support.completions import CHOSEN, REJECTED, grads
from tests.trainer.test_data import provenance
from tokenreward.errors import BadInput
from tokenreward_trainer.data.labeled_pairs import pairs_of
from tokenreward_trainer.data.pair import Pair, TeacherScores
from tokenreward_trainer.data.truncation import truncate
from tokenreward_trainer.losses import METHODS, Hyperparameters
from tokenreward_trainer.model.chunked_lm_head import token_scores
from tokenreward_trainer.model.lm_head import Head
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.model.teacher_kl import top_forward_kl
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.pair_scoring import score_pairs
from tokenreward_trainer.training.pair_sources import check_teacher
from tokenreward_trainer.training.trainer import PreferenceTrainer

pytestmark = pytest.mark.trains

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., LlamaForCausalLM]
MakePairs = Callable[..., list[Pair]]

HYPER = Hyperparameters(beta=1.0)


def taught(pairs: list[Pair], teacher: LlamaForCausalLM, k: int | None = None) -> list[Pair]:
    """Single responses with a teacher's log-probs, and its k likeliest tokens."""
    make_scorable(teacher)
    alone = [Pair(pair.id, pair.prompt, pair.chosen, ()) for pair in pairs]
    found = []
    for pair, (logps, _) in zip(alone, score_pairs(teacher, alone, layout="packed", max_tokens=10_000), strict=True):
        top_ids = top_logps = None
        if k is not None:
            with torch.no_grad():
                logits = teacher(input_ids=torch.tensor([pair.prompt + pair.chosen])).logits[0]
            best = logits[len(pair.prompt) - 1 : -1].log_softmax(-1).topk(k)
            top_ids, top_logps = best.indices.numpy(), best.values.float().numpy()
        found.append(replace(pair, teacher=TeacherScores(logps, top_ids, top_logps)))
    return found


# ---- the loss ----------------------------------------------------------------------------------------------


def test_the_gradient_is_minus_the_advantage_of_each_token() -> None:
    teacher = torch.tensor([[-0.5, -3.0, -0.4]], dtype=torch.float64)
    found = METHODS["opd"].loss(replace(CHOSEN, teacher_logps=teacher), REJECTED, HYPER)
    advantages = [-0.5 - -1.0, -3.0 - -2.0, -0.4 - -0.5]
    assert found.loss.item() == pytest.approx(sum(a * a for a in advantages) / 2)
    (gradient,) = grads(found.loss, CHOSEN.logps)
    torch.testing.assert_close(gradient, torch.tensor([[-a for a in advantages]], dtype=torch.float64))


def test_over_many_samples_the_gradient_is_that_of_the_reverse_kl() -> None:
    """Exactly: weighted by how often the policy says each token, the gradients add up to that of KL(pi || p_T)."""
    logits = torch.tensor([0.3, -0.2, 0.9, 0.0], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([0.1, 0.5, -0.3, 0.2], dtype=torch.float64).log_softmax(-1)
    policy = logits.log_softmax(-1)
    (exact,) = torch.autograd.grad((policy.exp() * (policy - teacher)).sum(), logits, retain_graph=True)
    sampled = ((policy - teacher) ** 2 / 2 * policy.detach().exp()).sum()
    (found,) = torch.autograd.grad(sampled, logits)
    torch.testing.assert_close(found, exact)


def test_with_the_likeliest_tokens_the_loss_is_their_forward_kl() -> None:
    logps = torch.tensor([[-1.0, -2.0], [-0.5, -1.5]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[-0.7, -1.7], [-1.0, -1.0]], dtype=torch.float64)
    found = top_forward_kl(logps, teacher)
    q = teacher.exp() / teacher.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(found, (q * (q.log() - logps)).sum(-1))
    (gradient,) = torch.autograd.grad(found.sum(), logps)
    torch.testing.assert_close(gradient, -q)
    assert top_forward_kl(q.log(), teacher).abs().max() < 1e-12


@pytest.mark.parametrize("softcap", [None, 2.0])
def test_log_probs_of_candidates_and_their_gradient_are_those_of_the_whole_distribution(softcap: float | None) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 5, dtype=torch.float64, requires_grad=True)
    targets, candidates = torch.randint(0, 11, (7,)), torch.randint(0, 11, (7, 3))
    head = Head(weight, softcap=softcap)

    def ours(hidden: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        scores = token_scores(hidden, targets, replace(head, weight=weight), candidates=candidates, chunk_rows=3)
        assert scores.candidates is not None
        return scores.logps, scores.candidates

    logits = hidden @ weight.T
    whole = (logits if softcap is None else softcap * (logits / softcap).tanh()).log_softmax(-1)
    torch.testing.assert_close(ours(hidden, weight)[1], whole.gather(-1, candidates))
    assert torch.autograd.gradcheck(ours, (hidden, weight))


# ---- training ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "kl"), [(None, None), (8, None), (8, "reverse")])
def test_the_policy_moves_towards_its_teacher(
    k: int | None, kl: str | None, llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    teacher = llama(seed=1)
    pairs = taught(make_pairs(8), teacher, k)
    options = config(method="opd", teacher_kl=kl, num_train_epochs=6, lr_scheduler_type="constant")
    trainer = PreferenceTrainer(llama(), options, pairs)
    distance = []
    for step in (lambda: None, trainer.train):
        step()
        scored = trainer.token_logps(pairs)
        gaps = [own - pair.teacher.logps for pair, (own, _) in zip(pairs, scored, strict=True) if pair.teacher]
        distance.append(float(np.square(np.concatenate(gaps)).mean()))
    assert distance[1] < distance[0]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]


def test_batches_and_parts_do_not_change_the_step(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    pairs = taught(make_pairs(8), llama(torch.float64, seed=1), 4)
    one = {"max_steps": 1, "optim": "sgd", "learning_rate": 1.0, "lr_scheduler_type": "constant", "warmup_steps": 0}
    found = []
    ways = [(8, 10_000, "packed"), (2, 10_000, "packed"), (8, 25, "packed"), (8, 10_000, "padded")]
    for size, tokens, layout in ways:
        changes = {"per_device_train_batch_size": size, "gradient_accumulation_steps": 8 // size}
        model = llama(torch.float64)
        options = config(method="opd", forward_tokens=tokens, layout=layout, max_grad_norm=0, **one, **changes)
        PreferenceTrainer(model, options, pairs).train()
        found.append([p.detach() for p in model.parameters()])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-8, atol=1e-10)


# ---- rows --------------------------------------------------------------------------------------------------


def row(**changes: Any) -> dict[str, Any]:
    return {
        "prompt": "Hi",
        "response": "no",
        "token_ids": [80, 2],
        "token_rewards": [0.0, 0.0],
        "token_error": None,
        "token_logprobs": [{"branch": "plain", "logprobs": [-1.5, -0.25]}],
        "token_top": [{"branch": "plain", "ids": [[80, 81], [2, 5]], "logprobs": [[-1.5, -2.0], [-0.25, -3.0]]}],
        **changes,
    }


def read(tokenizer: PreTrainedTokenizerFast, **changes: Any) -> Pair:
    found = pairs_of([row(**changes)], tokenizer, provenance(tokenizer), single=True, teacher=True)
    return found.pairs[0]


def test_a_labeled_rows_log_probs_are_the_teachers(tokenizer: PreTrainedTokenizerFast) -> None:
    pair = read(tokenizer)
    assert pair.chosen == (80, 2)
    assert pair.teacher is not None
    np.testing.assert_array_equal(pair.teacher.logps, np.float32([-1.5, -0.25]))
    assert pair.teacher.top_ids is not None
    assert pair.teacher.top_ids.tolist() == [[80, 81], [2, 5]]
    cut = truncate(pair, len(pair.prompt) + 1, len(pair.prompt)).teacher
    assert cut is not None
    assert cut.top_ids is not None
    assert (cut.logps.tolist(), cut.top_ids.tolist()) == ([-1.5], [[80, 81]])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"token_logprobs": None}, "no log-probs of a teacher"),
        ({"token_logprobs": [{"branch": "plain", "logprobs": [-1.5]}]}, "is of 1 tokens, and the response has 2"),
        ({"token_logprobs": [{"branch": "plain", "logprobs": [-1.5, float("nan")]}]}, "not finite"),
        (
            {"token_logprobs": [{"branch": name, "logprobs": [-1.0, -1.0]} for name in ("better", "worse")]},
            "under several prompts .better, worse.",
        ),
    ],
)
def test_what_is_no_teachers_label_is_refused(
    changes: dict[str, Any], says: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(BadInput, match=says):
        read(tokenizer, **changes)


def test_rows_without_a_teacher_are_refused(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    with pytest.raises(BadInput, match="needs a teacher's log-probs, and 3 of 3 rows have none"):
        PreferenceTrainer(llama(), config(method="opd"), make_pairs(3))
    with pytest.raises(BadInput, match="teacher_kl = 'forward' needs the teacher's likeliest tokens"):
        PreferenceTrainer(llama(), config(method="opd", teacher_kl="forward"), taught(make_pairs(3), llama(seed=1)))


def test_labels_of_another_teacher_than_the_one_that_is_meant_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    made = provenance(tokenizer)
    for same in (None, "tiny", "m", made.fingerprint_digest):
        check_teacher(same, made)
    with pytest.raises(BadInput, match=r"labels\.teacher = 'other', and the labels are of tiny"):
        check_teacher("other", made)
    with pytest.raises(BadInput, match="does not say which model labeled it"):
        check_teacher("tiny", None)


def test_a_file_that_a_teachers_service_labeled_trains_a_model(
    policy: Path, service: str, tokenizer: PreTrainedTokenizerFast, llama: MakeModel, tmp_path: Path
) -> None:
    from tokenreward.dataset import label_dataset
    from tokenreward_trainer.training.run import train_run
    from tokenreward_trainer.training.settings import run_of

    asked = [
        {"id": str(n), "prompt": f"Count to {n}", "response": "1 2", "token_ids": [75 + n, 90, 2]} for n in range(6)
    ]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
    label_dataset(
        tmp_path / "said.jsonl", tmp_path / "taught.jsonl", url=service, estimator="surprisal", include=["logprobs"]
    )
    student = tmp_path / "student"
    llama(seed=3, vocab_size=len(tokenizer), spread=0.05, max_position_embeddings=2048).save_pretrained(student)
    tokenizer.save_pretrained(student)
    options: dict[str, Any] = {
        "method": "opd",
        "output_dir": str(tmp_path / "out"),
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        "learning_rate": 1e-3,
        "num_train_epochs": 4,
        "logging_steps": 1,
    }
    content = {"model": {"name": str(student)}, "data": {"train": str(tmp_path / "taught.jsonl")}, "train": options}
    train_run(run_of(content | {"labels": {"teacher": Path(policy).name}}))
    record = json.loads((tmp_path / "out" / "run.json").read_bytes())
    assert record["name"] == "OPD"
    losses = [entry["loss"] for entry in record["log"] if "loss" in entry]
    assert losses[-1] < losses[0]
