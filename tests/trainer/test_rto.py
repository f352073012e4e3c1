"""RTO's pieces by hand, and runs that raise their score, go on after a kill, and take rewards from a service."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward import cli
from tokenreward.errors import BadInput
from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.pair import Example, Pair
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.model.scoring import attending
from tokenreward_trainer.rto import run as rto_run
from tokenreward_trainer.rto.actor_critic import ActorCritic, evaluated
from tokenreward_trainer.rto.advantages import gae, whitened
from tokenreward_trainer.rto.ppo_losses import clipped_policy_loss, clipped_value_loss
from tokenreward_trainer.rto.reward_shaping import token_rewards
from tokenreward_trainer.rto.run import prompts_of, run_rto
from tokenreward_trainer.rto.settings import Rewards, rto_of

pytestmark = pytest.mark.trains

MakeModel = Callable[..., LlamaForCausalLM]
MakePairs = Callable[..., list[Pair]]
Row = dict[str, Any]


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ---- pieces ------------------------------------------------------------------------------------------------


def test_gae_by_hand() -> None:
    rewards, values = np.array([1.0, 0.0, 2.0]), np.array([0.5, 1.0, -0.5])
    advantages, returns = gae(rewards, values, gamma=0.9, lam=0.8)
    deltas = [1.0 + 0.9 * 1.0 - 0.5, 0.0 + 0.9 * -0.5 - 1.0, 2.0 - -0.5]
    last = deltas[2]
    middle = deltas[1] + 0.72 * last
    np.testing.assert_allclose(advantages, [deltas[0] + 0.72 * middle, middle, last], rtol=1e-12)
    np.testing.assert_allclose(returns, advantages + values, rtol=1e-12)


def test_without_discount_advantages_are_the_rewards_to_come_less_the_value() -> None:
    rewards, values = np.array([1.0, -2.0, 4.0]), np.array([0.3, 0.2, 0.1])
    advantages, returns = gae(rewards, values, gamma=1.0, lam=1.0)
    np.testing.assert_allclose(returns, [3.0, 2.0, 4.0], rtol=1e-12)
    np.testing.assert_allclose(advantages, returns - values, rtol=1e-12)


def test_whitening_is_over_all_tokens_of_the_batch() -> None:
    found = whitened([np.array([1.0, 2.0]), np.array([6.0])])
    every = np.concatenate(found)
    assert every.mean() == pytest.approx(0, abs=1e-12)
    assert every.std(ddof=1) == pytest.approx(1)
    assert [len(row) for row in found] == [2, 1]
    np.testing.assert_array_equal(whitened([np.array([3.0])])[0], [3.0])


def test_the_clipped_policy_loss_and_its_gradient_by_hand() -> None:
    logps = torch.log(tensor(0.5, 0.5, 0.5, 0.5)).requires_grad_()
    ratios = tensor(1.1, 1.5, 1.5, 0.5)  # Within, above with gain, above with loss, below with loss.
    advantages = tensor(2.0, 2.0, -2.0, -2.0)
    loss = clipped_policy_loss(logps, logps.detach() - ratios.log(), advantages, 0.2)
    torch.testing.assert_close(loss, tensor(-2.2, -2.4, 3.0, 1.6))
    (gradient,) = torch.autograd.grad(loss.sum(), logps)
    torch.testing.assert_close(gradient, tensor(-2.2, 0.0, 3.0, 0.0))


def test_the_clipped_value_loss_and_its_gradient_by_hand() -> None:
    values = tensor(1.0, 3.0, 0.5).requires_grad_()
    loss = clipped_value_loss(values, tensor(0.9, 1.0, 0.0), tensor(2.0, 4.0, 0.6), 0.2)
    torch.testing.assert_close(loss, tensor(0.5, 2.8**2 / 2, 0.08))
    (gradient,) = torch.autograd.grad(loss.sum(), values)
    torch.testing.assert_close(gradient, tensor(-1.0, 0.0, 0.0))


def test_advantages_and_losses_are_those_of_trls_ppo() -> None:
    """The numbers are what TRL 0.11.4 gives; TRL 1.16, which is installed, has no PPO any more."""
    rewards, values = [np.array([1.0, 0.0, 2.0]), np.array([-1.0])], [np.array([0.5, 1.0, -0.5]), np.array([0.2])]
    found = [gae(r, v, gamma=0.9, lam=0.8) for r, v in zip(rewards, values, strict=True)]
    np.testing.assert_allclose(np.concatenate([a for a, _ in found]), [1.652, 0.35, 2.5, -1.2], rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([r for _, r in found]), [2.152, 1.35, 2.0, -1.0], rtol=1e-12)
    white = np.concatenate(whitened([a for a, _ in found]))
    np.testing.assert_allclose(white, [0.51205508, -0.29459430, 1.03743040, -1.25489118], rtol=1e-6)
    logps, old = torch.log(tensor(0.3, 0.6, 0.2)), torch.log(tensor(0.25, 0.3, 0.4))
    torch.testing.assert_close(clipped_policy_loss(logps, old, tensor(1, 2, -1), 0.2), tensor(-1.2, -2.4, 0.8))


def test_token_rewards_by_hand() -> None:
    dense, logps, reference = np.array([2.0, -0.4, 0.5]), np.array([-1.0, -2.0, -3.0]), np.array([-1.5, -2.0, -2.0])
    settings = Rewards(source="none", scale=0.1, clip=0.05, kl=0.2, sequence=3.0)
    found = token_rewards(dense, logps, reference, 0.5, settings)
    np.testing.assert_allclose(found, [0.05 - 0.1, -0.04, 0.05 + 0.2 + 1.5], atol=1e-12)
    unclipped = token_rewards(dense, logps, reference, 99.0, settings.model_copy(update={"clip": 0.0}))
    np.testing.assert_allclose(unclipped, [0.2 - 0.1, -0.04, 0.05 + 0.2 + 30.0], atol=1e-12)
    np.testing.assert_allclose(token_rewards(None, logps, reference, 0.0, settings), [-0.1, 0.0, 0.2], atol=1e-12)


def test_every_pass_over_the_prompts_has_another_order() -> None:
    rows = [{"id": number} for number in range(6)]
    passes = [[row["id"] for i in (0, 1, 2) for row in prompts_of(rows, 2, 7, 3 * n + i)] for n in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == [*range(6)]
    assert passes[0] != passes[1]


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_values_are_of_the_state_before_each_token(layout: Any, llama: MakeModel, make_pairs: MakePairs) -> None:
    model, responses = llama(torch.float64), [Pair(p.id, p.prompt, p.chosen, ()) for p in make_pairs(5)]
    make_scorable(model)
    both = ActorCritic(model)
    torch.nn.init.normal_(both.value_head.weight)
    scored = evaluated(both, responses, Collator(layout), 40)
    for response, (logps, values) in zip(responses, scored, strict=True):
        ids = torch.tensor([response.prompt + response.chosen])
        out = model(input_ids=ids, output_hidden_states=True)
        before = slice(len(response.prompt) - 1, -1)
        expected = both.value_head(out.hidden_states[-1][0, before]).squeeze(-1)
        own = out.logits[0, before].log_softmax(-1).gather(1, ids[0, len(response.prompt) :, None]).squeeze(-1)
        np.testing.assert_allclose(values, expected.detach(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(logps, own.detach(), rtol=1e-5, atol=1e-6)


def test_the_value_heads_gradient_stops_at_the_hidden_states(llama: MakeModel) -> None:
    model = llama()
    make_scorable(model)
    both = ActorCritic(model)
    torch.nn.init.normal_(both.value_head.weight)
    with attending(model, "packed"):
        _, values = both(Collator("packed").part([Example(0, Pair("a", (5, 6), (7, 8), ()))]))
    values.sum().backward()
    assert both.value_head.weight.grad is not None
    assert all(p.grad is None for p in model.parameters())


# ---- runs --------------------------------------------------------------------------------------------------


@pytest.fixture
def content(policy: Path, tmp_path: Path) -> Row:
    """A run of seconds; shorter responses score higher."""
    return {
        "run": {"directory": str(tmp_path / "rto")},
        "model": {"name": str(policy), "dtype": "float32"},
        "prompts": {"sets": ["arithmetic:1"], "count": 16},
        "sample": {"n": 2, "max_tokens": 12},
        "rewards": {"scorer": "function:tests.support.brevity:finished_early", "source": "none", "kl": 0.0},
        "ppo": {
            "iterations": 6,
            "prompts": 8,
            "minibatch": 8,
            "learning_rate": 3e-3,
            "value_learning_rate": 1e-2,
            "save_every": 2,
            "use_cpu": True,
        },
    }


def changed(content: Row, section: str, **options: Any) -> Row:
    return content | {section: content.get(section, {}) | options}


def log_of(folder: Path) -> list[dict[str, float]]:
    return json.loads((folder / "run.json").read_bytes())["log"]


def test_a_run_raises_its_score_and_leaves_a_model_a_record_and_a_report(content: Row, tmp_path: Path) -> None:
    report = run_rto(rto_of(changed(content, "ppo", iterations=15)))
    log = log_of(tmp_path / "rto")
    assert [entry["step"] for entry in log] == [*range(1, 16)]
    assert np.mean([entry["score"] for entry in log[-3:]]) > np.mean([entry["score"] for entry in log[:3]]) + 0.1
    assert log[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert log[-1]["kl"] > 0.05
    assert log[0]["loss/policy"] == pytest.approx(0, abs=0.2)  # Whitened advantages, and ratios of 1 at first.
    LlamaForCausalLM.from_pretrained(tmp_path / "rto")
    assert not list((tmp_path / "rto").glob("checkpoint-*"))
    assert json.loads((tmp_path / "rto" / "run.json").read_bytes())["name"] == "PPO"
    page = report.read_text()
    assert "data:image/svg+xml;base64," in page
    assert "15 iterations" in page


def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    content: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_rto(rto_of(content))
    straight = LlamaForCausalLM.from_pretrained(tmp_path / "rto").state_dict()
    shutil.rmtree(tmp_path / "rto")

    original = rto_run._iterate

    def killed(run: Any, parts: Any, sampler: Any, rows: Any, iteration: int) -> dict[str, float]:
        if iteration == 5:
            raise KeyboardInterrupt
        return original(run, parts, sampler, rows, iteration)

    with monkeypatch.context() as patch:
        patch.setattr(rto_run, "_iterate", killed)
        with pytest.raises(KeyboardInterrupt):
            run_rto(rto_of(content))
    assert (tmp_path / "rto" / "checkpoint-4").is_dir()
    with pytest.raises(BadInput, match=r"other options \(ppo differ"):
        run_rto(rto_of(changed(content, "ppo", learning_rate=1e-3)))
    run_rto(rto_of(content))
    assert len(log_of(tmp_path / "rto")) == 6
    for name, weight in LlamaForCausalLM.from_pretrained(tmp_path / "rto").state_dict().items():
        assert torch.equal(weight, straight[name]), name


def test_dense_rewards_are_the_log_ratio_of_a_dpo_policy(
    content: Row, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, policy: Path
) -> None:
    better = LlamaForCausalLM.from_pretrained(policy)
    with torch.no_grad():
        better.lm_head.weight[tokenizer.eos_token_id] *= 1.5
    better.save_pretrained(tmp_path / "dpo")
    tokenizer.save_pretrained(tmp_path / "dpo")
    rewards = {"source": "dpo", "dpo": str(tmp_path / "dpo"), "scale": 1.0, "clip": 0.0, "sequence": 0.0}
    run_rto(rto_of(changed(changed(content, "rewards", **rewards), "ppo", iterations=15)))
    record = json.loads((tmp_path / "rto" / "run.json").read_bytes())
    assert record["name"] == "RTO"
    log = record["log"]
    assert np.mean([entry["dense"] for entry in log[-3:]]) > np.mean([entry["dense"] for entry in log[:3]])


def test_an_adapter_is_trained_against_its_base(content: Row, tmp_path: Path) -> None:
    run_rto(rto_of(changed(content | {"lora": {"r": 2}}, "ppo", iterations=3)))
    assert (tmp_path / "rto" / "adapter_config.json").exists()
    log = log_of(tmp_path / "rto")
    assert log[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert log[-1]["kl"] != 0


def test_dense_rewards_come_from_a_service_for_the_very_tokens(content: Row, tmp_path: Path, service: str) -> None:
    content = changed(content, "rewards", source="service", url=service, scale=1.0)
    run_rto(rto_of(changed(content, "ppo", iterations=2)))
    record = json.loads((tmp_path / "rto" / "run.json").read_bytes())
    assert record["labels"] == f"estimator contrast of the service at {service}"
    assert all(np.isfinite(entry["dense"]) for entry in record["log"])


@pytest.mark.parametrize(
    ("section", "options", "says"),
    [
        ("run", {"directory": ""}, "run.directory is not set"),
        ("model", {"name": ""}, "model.name is not set"),
        ("model", {"quantization": "nf4"}, "an adapter has to be trained"),
        ("prompts", {"count": None}, "prompts.count is not set"),
        ("rewards", {"source": "dpo"}, "rewards.source = 'dpo' and rewards.dpo go together"),
        ("rewards", {"dpo": "x"}, "rewards.source = 'dpo' and rewards.dpo go together"),
        ("rewards", {"source": "service"}, "rewards.source = 'service' and rewards.url go together"),
        ("ppo", {"clip": 1.5}, "ppo.clip = 1.5"),
        ("ppo", {"iteration": 5}, "unknown option ppo.iteration .did you mean iterations"),
        ("sample", {"temperature": 0.0}, "sample.temperature = 0.0"),
    ],
)
def test_a_wrong_option_is_named(content: Row, section: str, options: Row, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        rto_of(changed(content, section, **options))


def test_what_is_not_on_policy_warns_and_more_prompts_than_there_are_is_refused(content: Row) -> None:
    with (
        pytest.warns(DoubtfulOption, match="sample from another distribution"),
        pytest.raises(BadInput, match=r"ppo\.prompts = 99 an iteration is more than the 16 prompts"),
    ):
        run_rto(rto_of(changed(changed(content, "sample", top_p=0.9), "ppo", prompts=99)))


def test_the_command_checks_and_runs(content: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for section, options in content.items():
        lines += [f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in options.items())]
    (tmp_path / "rto.toml").write_text("\n".join(lines))
    command = ["rto", str(tmp_path / "rto.toml"), "--ppo.iterations", "1"]
    assert cli.main([*command, "--check"]) == 0
    assert not (tmp_path / "rto").exists()
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "[1/1] score" in said
    assert "report: " in said
    assert cli.main([*command, "--check", "--model.name", "./missing"]) == 1


def test_the_configuration_of_the_docs_can_be_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    found = re.search(r"```ini\n(.*?)```", page, re.DOTALL)
    assert found is not None
    assert rto_of(tomllib.loads(found[1])).sample.n == 4
