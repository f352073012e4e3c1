"""Labelers are trained, served and used: tiny models through the real worker's engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification

from tests.support.tiny_checkpoint import save_checkpoint
from tokenreward import cli, estimators, templates
from tokenreward.errors import BadInput
from tokenreward.schema import Item
from tokenreward_trainer.labeler.classifier import classifier_of
from tokenreward_trainer.labeler.corrections import answer_loss
from tokenreward_trainer.labeler.token_classes import IGNORED
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.training.model_loading import load_model
from tokenreward_trainer.training.settings import Model
from tokenreward_workers.engines import load_engine
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.model_files.fingerprint import fingerprint
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Scoring

pytestmark = pytest.mark.trains

EDITS = [
    {"prompt": f"q{n}", "chosen": f"It is good {n}, yes.", "rejected": f"It is wrong {n}, yes."} for n in range(24)
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("base"), max_position_embeddings=512, spread=0.05)


@pytest.fixture(scope="module")
def labelers(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("labelers")
    data = folder / "edits.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in EDITS))
    made = {}
    for kind in ("classifier", "corrector"):
        made[kind] = folder / kind
        options = ["--epochs", "3", "--learning-rate", "0.02", "--least-kept", "0.3", "--layers", "1"]
        arguments = [kind, str(data), "--model", str(base), "--out", str(made[kind]), *options]
        assert cli.main(["train-labeler", *arguments]) == 0
    return made


def scored(path: Path, text: str, template: str) -> tuple[Prepared, dict[str, np.ndarray]]:
    loaded = load_engine("transformers", path)
    renderer = Renderer(loaded.chat, loaded.engine.info.max_tokens, loaded.engine.info.vocabulary)
    found = templates.resolve(template)
    branch = "plain" if template == "plain" else "correct"
    item = Item(prompt="q1", response=text, context=None if template == "plain" else {"outcome": "wrong"})
    (prepared,) = renderer.prepare([item], found, [branch])
    assert isinstance(prepared, Prepared)
    (rows,) = score_all(loaded.engine, [prepared.scoring])
    assert isinstance(rows, dict)
    return prepared, {name: row.logprobs for name, row in rows.items()}


def test_a_trained_classifier_puts_low_rewards_on_what_edits_take_out(labelers: dict[str, Path]) -> None:
    prepared, rows = scored(labelers["classifier"], "It is wrong 1, yes.", "plain")
    rewards = estimators.resolve("tlcr").rewards(rows)
    assert len(rewards) == len(prepared.response_ids)
    assert rewards[6:11].mean() < -0.1
    assert rewards[6:11].mean() < rewards[[0, 1, 2, 3, 4, 16, 17]].mean() - 0.1


def test_rows_are_the_classes_where_each_token_has_been_read(labelers: dict[str, Path]) -> None:
    engine = TransformersEngine(labelers["classifier"], "float32")
    prefix, response = (3, 4, 5, 6), (40, 41, 42, 43, 44)
    work = [Scoring(prefix, {"plain": (7,), "other": (8, 9)}, response), Scoring(prefix, {"plain": (7,)}, response[:1])]
    found = score_all(engine, work)
    model = AutoModelForTokenClassification.from_pretrained(labelers["classifier"], dtype=torch.float32).eval()
    for rows, one in zip(found, work, strict=True):
        assert isinstance(rows, dict)
        for branch, rest in one.branches.items():
            ids = torch.tensor([[*one.prefix, *rest, *one.response]])
            with torch.inference_mode():
                classes = model(ids).logits[0].softmax(-1)[-len(one.response) :]
            good = (classes[:, 2] + classes[:, 1] / 2).log().numpy()
            np.testing.assert_allclose(rows[branch].logprobs, good, atol=1e-4)
    assert engine.info.head == "token_classifier"
    assert engine.info.lacks == ("moments", "top", "named")


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "mamba"])
def test_an_architecture_that_no_classifier_can_be_made_of_is_named(kind: str) -> None:
    sizes = {"vocab_size": 16, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes))
    with pytest.raises(BadInput, match=f"no token classifier of the architecture '{kind}'.* take a model of another"):
        classifier_of(model, 1)


def test_a_trained_corrector_finds_what_it_would_write_otherwise(base: Path, labelers: dict[str, Path]) -> None:
    probabilities = {}
    for name, path in (("base", base), ("trained", labelers["corrector"])):
        _, rows = scored(path, "It is wrong 1, yes.", "correct")
        probabilities[name] = np.exp(rows["correct"])
    kept = [0, 1, 2, 3, 4, 5]
    assert probabilities["trained"][kept].mean() > probabilities["base"][kept].mean() + 0.1
    assert probabilities["trained"][6] < probabilities["trained"][kept].mean()


def test_a_corrector_learns_from_the_loss_of_its_answers(base: Path) -> None:
    """The model's own loss, without logits of the prompts, which are most of a batch."""
    ids = torch.randint(0, 200, (3, 20))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}
    batch["labels"][0, :7] = batch["labels"][1, :12] = batch["labels"][2, :5] = IGNORED
    batch["labels"][2, 17:], batch["attention_mask"][2, 17:] = IGNORED, 0
    model = load_model(str(base), Model(name=str(base), dtype="float32"))
    expected = model(**batch).loss
    expected.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()

    make_scorable(model)
    loss = answer_loss(model, batch)
    loss.backward()

    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close([parameter.grad for parameter in model.parameters()], gradients)


def test_a_labeler_says_what_it_was_made_of(base: Path, labelers: dict[str, Path]) -> None:
    record = json.loads((labelers["classifier"] / "labeler.json").read_text())
    assert record["kind"] == "classifier"
    assert record["base_model"] == str(base)
    assert (record["edits"], record["examples"]) == (24, 48)
    assert record["losses"][-1] < record["losses"][0]
    loaded = load_engine("transformers", labelers["classifier"])
    found = fingerprint("c", labelers["classifier"], loaded.chat, loaded.engine.info)
    assert found.head == "token_classifier"
    assert found.training_data_hash == record["data_sha256"]
    assert record["data_sha256"] == json.loads((labelers["corrector"] / "labeler.json").read_text())["data_sha256"]


def test_a_token_classifier_is_served_by_engine_transformers_alone(labelers: dict[str, Path]) -> None:
    with pytest.raises(BadInput, match="is a token classifier; take engine transformers"):
        load_engine("vllm", labelers["classifier"])


def test_a_folder_that_is_there_is_not_written_over(
    labelers: dict[str, Path], base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["classifier", "--made", "5", "--model", str(base), "--out", str(labelers["classifier"])]
    assert cli.main(["train-labeler", *arguments]) == 1
    assert "is there already" in capsys.readouterr().err
