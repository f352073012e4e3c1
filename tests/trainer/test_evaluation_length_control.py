"""The length-controlled win rate against AlpacaEval's own package, its downloaded tables staged."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from alpaca_eval.metrics import get_length_controlled_winrate, glm_winrate

from tokenreward.errors import BadInput
from tokenreward.statistics.bootstrap import Resamples
from tokenreward_trainer.evaluation.judging.length_control import (
    Features,
    Gamed,
    difficulties_of,
    length_controlled,
    read_gamed,
)

pytestmark = pytest.mark.trains

COUNT = 805


@pytest.fixture(autouse=True)
def _routing() -> Iterator[None]:
    """AlpacaEval turns scikit-learn's metadata routing on for the whole process."""
    before = sklearn.get_config()["enable_metadata_routing"]
    yield
    sklearn.set_config(enable_metadata_routing=before)


def judged(seed: int, longer: float, hard: str) -> pd.DataFrame:
    """Made-up answers and verdicts of a judge that likes length: annotations as AlpacaEval keeps them."""
    random = np.random.default_rng(seed)
    lengths = random.integers(20, 400, (COUNT, 2)) * np.array([1.0, longer])
    merit = random.normal(0.3, 1.0, COUNT) + 0.004 * (lengths[:, 1] - lengths[:, 0])
    preferred = 1 / (1 + np.exp(-merit))
    if hard == "letters":
        preferred = np.where(preferred > 0.6, 1.0, np.where(preferred < 0.4, 0.0, 0.5))
    return pd.DataFrame(
        {
            "instruction": [f"i{number}" for number in range(COUNT)],
            "output_1": ["b" * int(length) for length in lengths[:, 0]],
            "output_2": ["m" * int(length) for length in lengths[:, 1]],
            "generator_1": "base",
            "generator_2": "mine",
            "annotator": "judge",
            "preference": 1 + preferred,
        }
    )


@pytest.fixture
def gamed_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of the form of df_gamed.csv; what AlpacaEval would download is this file."""
    random = np.random.default_rng(9)
    path = tmp_path / "df_gamed.csv"
    difficulties = random.normal(0, 1, COUNT)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["model", "index", "preference", "instruction_difficulty", "std_delta_len", "not_gamed_baseline"]
        )
        for model, delta in (("concise", 1.0), ("verbose", -1.0)):
            for number in range(COUNT):
                drawn = random.normal(delta, 0.4)
                liked = 1 / (1 + np.exp(0.6 * drawn + random.normal(0, 0.5)))
                writer.writerow([model, number, f"{liked:.6f}", f"{difficulties[number]:.6f}", f"{drawn:.6f}", False])
    monkeypatch.setattr(
        glm_winrate, "hf_hub_download", lambda **asked: str(path if "gamed" in asked["filename"] else 1 / 0)
    )
    return path


def ours(annotations: pd.DataFrame, gamed: Gamed | None, difficulties: Any, draws: int = 1) -> float:
    delta = annotations["output_1"].str.len() - annotations["output_2"].str.len()
    features = Features(annotations["preference"].to_numpy() - 1, delta.to_numpy(float), difficulties)
    found = length_controlled(features, gamed, Resamples("all", COUNT, draws=draws))
    assert found is not None
    return 100 * found.value


def theirs(annotations: pd.DataFrame, formula: str) -> float:
    found = get_length_controlled_winrate(annotations, glm_name=formula, save_weights_dir=None)
    return float(found["length_controlled_winrate"])


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("hard", ["letters", "probabilities"])
@pytest.mark.parametrize("longer", [0.6, 1.0, 1.8])
def test_it_is_alpaca_eval_s_own(gamed_table: Path, longer: float, hard: str) -> None:
    annotations = judged(int(10 * longer), longer, hard)
    gamed = read_gamed(gamed_table, COUNT)
    found = {
        "length_controlled_v1": ours(annotations, gamed, gamed.difficulties),
        "length_controlled_noreg": ours(annotations, None, gamed.difficulties),
        "length_controlled_minimal": ours(annotations, None, None),
    }
    expected = {formula: theirs(annotations.copy(), formula) for formula in found}
    assert found == pytest.approx(expected, abs=1e-6)
    raw = 100 * (annotations["preference"].mean() - 1)
    assert abs(found["length_controlled_v1"] - raw) > 0.5 or longer == 1.0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_verdicts_that_are_missing_are_missing_there_too(gamed_table: Path) -> None:
    annotations = judged(4, 1.4, "letters")
    annotations.loc[[3, 40, 41, COUNT - 1], "preference"] = np.nan
    assert ours(annotations, None, None) == pytest.approx(theirs(annotations, "length_controlled_minimal"), abs=5e-4)


def test_a_judge_that_likes_only_length_finds_two_equal_checkpoints() -> None:
    random = np.random.default_rng(2)
    delta = random.normal(-100, 80, 400)  # The checkpoint's answers are longer by a hundred characters.
    liked = (random.random(400) < 1 / (1 + np.exp(delta / 40))).astype(float)
    found = length_controlled(Features(liked, delta), None, Resamples("all", 400, draws=200))
    assert found is not None
    assert liked.mean() > 0.8
    assert found.interval.low < 0.5 < found.interval.high
    assert found.interval.high - found.interval.low < 0.35


def test_answers_of_one_length_need_no_control() -> None:
    liked = np.array([1.0] * 30 + [0.0] * 20)
    found = length_controlled(Features(liked, np.full(50, -7.0)), None, Resamples("all", 50, draws=50))
    assert found is not None
    assert found.value == pytest.approx(0.6, abs=0.01)


def test_too_few_verdicts_give_no_length_control() -> None:
    liked = np.array([1.0, 0.0, 1.0, np.nan, 1.0])
    assert length_controlled(Features(liked, np.arange(5.0)), None, Resamples("all", 5, draws=5)) is None


def test_the_table_of_gamed_baselines_is_read_for_its_own_prompts(gamed_table: Path, tmp_path: Path) -> None:
    gamed = read_gamed(gamed_table, COUNT)
    table = pd.read_csv(gamed_table)
    assert gamed.columns.shape == (2 * COUNT, 3)
    assert gamed.columns[:, 0] == pytest.approx(np.tanh(table["std_delta_len"]))
    assert gamed.difficulties == pytest.approx(table["instruction_difficulty"][:COUNT])
    with pytest.raises(BadInput, match=f"has {COUNT} prompts' difficulties for {COUNT + 1} prompts"):
        read_gamed(gamed_table, COUNT + 1)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"other\.csv: not AlpacaEval's df_gamed\.csv"):
        read_gamed(other, 1)


def test_difficulties_are_a_column_of_all_prompts_or_of_none() -> None:
    path = Path("prompts.jsonl")
    found = difficulties_of([{"instruction_difficulty": 1}, {"instruction_difficulty": -0.5}], path)
    assert found is not None
    assert found.tolist() == [1.0, -0.5]
    assert difficulties_of([{"prompt": "p"}], path) is None
    with pytest.raises(BadInput, match=r"prompts\.jsonl, row 1: its `instruction_difficulty` is None"):
        difficulties_of([{"instruction_difficulty": 1}, {}], path)
