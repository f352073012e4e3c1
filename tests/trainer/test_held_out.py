"""A record says of held-out pairs what the method's own metrics say, against the model that training compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tiny_models import NEEDS, build_llama
from tokenreward_trainer.losses import METHODS
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.run import train_run
from tokenreward_trainer.training.run_record import RunRecord
from tokenreward_trainer.training.settings import run_of

pytestmark = pytest.mark.trains

Trained = Callable[..., RunRecord]


@pytest.fixture
def trained(policy: Path, tmp_path: Path, config: Callable[..., PreferenceConfig]) -> Trained:
    """The record of two steps on six of the demo's pairs, with four held out."""

    def run(model: dict[str, Any] | None = None, **options: Any) -> RunRecord:
        write_pairs(tmp_path / "pairs.jsonl", 10)
        content = {
            "model": {"name": str(policy), "dtype": "float32"} | (model or {}),
            "data": {"train": str(tmp_path / "pairs.jsonl"), "eval_share": 0.4},
            "labels": {"source": "surprisal"},
        }
        (record,) = train_run(run_of(content), config(max_steps=2, learning_rate=1e-2, **options))
        return record

    return run


@pytest.mark.parametrize("method", sorted(name for name, method in METHODS.items() if not method.single))
def test_a_pairs_margin_is_that_of_the_methods_metrics(method: str, trained: Trained) -> None:
    record = trained(method=method, **NEEDS.get(method, {}))
    margins = np.array([outcome.margin for outcome in record.outcomes])
    assert len(margins) == record.held_out == 4
    assert margins.mean() == pytest.approx(record.final("eval_rewards/margins"), rel=1e-4)
    assert (margins > 0).mean() == record.final("eval_rewards/accuracies")


@pytest.mark.parametrize("reference", ["live", "precompute"])
def test_token_rewards_are_against_the_reference_that_training_compared_with(
    reference: str, trained: Trained, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    build_llama(vocab_size=259, seed=1, spread=0.05, max_position_embeddings=2048).save_pretrained(other)
    own, against = (trained(model, reference=reference) for model in (None, {"reference": str(other)}))
    for record, moved in ((own, False), (against, True)):
        before = np.concatenate([response.learned_before for response in record.examples[0].responses])
        assert (np.abs(before).max() > 1e-3) == moved
        learned = [np.sum(response.learned_after) for response in record.examples[0].responses]
        assert learned[0] - learned[1] == pytest.approx(record.outcomes[0].margin, rel=1e-3)
