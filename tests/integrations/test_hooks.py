"""The hooks of trainers that are called with plain objects, and the helpers for data, by their own examples."""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.harness.stack import Stack, http
from tests.support.staged_server import PROVENANCE, Staged, job, reply, staged_server
from tokenreward.dataset.columns import KEPT, label_columns
from tokenreward.errors import BadInput, ItemError
from tokenreward.integrations.batches import BatchLabels
from tokenreward.integrations.labeler import Labeler
from tokenreward.integrations.openrlhf import reward_function
from tokenreward.integrations.ray_data import RayLabeler
from tokenreward.integrations.skyrl import TokenRewardGenerator
from tokenreward.integrations.slime import payload, post_process_rewards, reward_func
from tokenreward.integrations.teacher import Teacher
from tokenreward.schema import ItemResult

EXAMPLES = Path(__file__).parents[2] / "examples" / "trainers"


@pytest.fixture
def example(synthetic: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs an example as a script beside the synthetic service, and returns what it defined."""
    monkeypatch.setenv("TOKENREWARD_URL", synthetic.url)

    def run(name: str, *arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return run


@pytest.fixture
def refusing() -> Iterator[Staged]:
    """A service by which the one item of a call is wrong."""
    wrong = {"index": 0, "error": {"code": "invalid_item", "message": "id 999999 is unknown"}}
    answer = {"job": job(total=1), "results": [wrong], "provenance": PROVENANCE.model_dump(mode="json")}
    with staged_server() as staged:
        staged.stage(reply(200, answer))
        yield staged


@pytest.fixture
def labeler(synthetic: Stack) -> Labeler:
    return Labeler(synthetic.url)


def expected(stack: Stack, *items: dict[str, Any], **options: Any) -> list[list[float]]:
    answer = http.post(stack.url + "/v1/label", json={"items": list(items), **options}).json()
    return [result["rewards"] for result in answer["results"]]


def test_slimes_hooks_hand_over_the_privileged_branchs_log_probs(example, synthetic) -> None:
    ran = example("slime_hooks.py", "--ids", "5,6,7", "--response", "8,9")
    item = {"prompt": "What is 2 + 2?", "token_ids": [8, 9], "context": {"reference": "2 + 2 = 4."}}
    body = {"items": [item], "estimator": "privileged", "include": ["logprobs"]}
    label = http.post(synthetic.url + "/v1/label", json=body).json()
    assert ran["sample"].teacher_log_probs == pytest.approx(label["results"][0]["logprobs"]["privileged"])
    assert post_process_rewards(ran["args"], [ran["sample"]]) == ([1.0], [1.0])


def test_slimes_hook_sends_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = SimpleNamespace(tokens=[1, 2, 3], response_length=1, metadata={}, prompt="p")
    with staged_server() as staged:
        staged.stage(reply(200, {}))
        args = SimpleNamespace(rm_url=f"{staged.url}/generate")
        asyncio.run(reward_func(args, sample))
        monkeypatch.setenv("TOKENREWARD_API_KEY", "s3cret")
        asyncio.run(reward_func(args, sample))
    assert [seen.headers.get("authorization") for seen in staged.seen] == [None, "Bearer s3cret"]


def test_slimes_request_without_a_template_is_slimes_own() -> None:
    sample = SimpleNamespace(tokens=[1, 2, 3, 4], response_length=2, metadata={}, prompt="p")
    body = payload(SimpleNamespace(), sample)
    assert body["logprob_start_len"] == 1
    assert "tokenreward" not in body


def test_a_teacher_that_scored_too_little_is_not_taken_for_one_that_scored_all() -> None:
    reward = {"meta_info": {"input_token_logprobs": [[None, 1, None], [-0.5, 2, None]]}}
    sample = SimpleNamespace(get_reward_value=lambda args: reward, response_length=3, metadata={})
    with pytest.raises(BadInput, match="1 of 3"):
        post_process_rewards(SimpleNamespace(), [sample])


def test_skyrls_rewards_are_lists_as_long_as_the_responses(example, synthetic) -> None:
    output = example("skyrl_generator.py")["output"]
    first, second = expected(
        synthetic, *({"prompt": "What is 2 + 2?", "token_ids": ids} for ids in output["response_ids"])
    )
    assert output["rewards"][0] == pytest.approx([0.1 * first[0], 0.1 * first[1], 1 + 0.1 * first[2]])
    assert output["rewards"][1] == pytest.approx([0.1 * value for value in second])


def test_skyrls_observations_get_no_reward_and_the_outcome_goes_to_the_last_own_token(labeler) -> None:
    class Inner:
        async def generate(self, batch: Any) -> dict[str, Any]:
            return {"response_ids": [[7, 8, 9]], "rewards": [2.0], "loss_masks": [[1, 1, 0]]}

    generated = TokenRewardGenerator(Inner(), labeler).generate({"prompts": ["p"], "env_extras": None})
    (rewards,) = asyncio.run(generated)["rewards"]
    assert rewards[2] == 0.0
    assert rewards[1] > 1.4


def test_skyrls_steps_are_refused(labeler) -> None:
    class Inner:
        async def generate(self, batch: Any) -> dict[str, Any]:
            return {"response_ids": [[7], [8]], "rewards": [0.0, 1.0], "loss_masks": [[1], [1]]}

    with pytest.raises(BadInput, match="step-wise"):
        asyncio.run(TokenRewardGenerator(Inner(), labeler).generate({"prompts": ["p"]}))


def test_openrlhfs_reward_is_one_number_of_the_response_without_its_end(example, synthetic) -> None:
    reward_func = example("openrlhf_reward.py")["reward_func"]
    found = reward_func(["Q: 2+2?\nA: 4.<|im_end|>"], ["Q: 2+2?\nA:"], [None])
    (rewards,) = expected(synthetic, {"prompt": "Q: 2+2?\nA:", "response": "4."})
    mean = sum(rewards) / len(rewards)
    assert found["rewards"] == pytest.approx(mean)
    assert found["scores"] == pytest.approx(mean + 0.5)
    with pytest.raises(BadInput, match="does not begin with its prompt"):
        reward_func(["something else"], ["Q"], [None])


def test_a_response_that_cannot_be_labeled_ends_the_call_or_gets_nothing(synthetic) -> None:
    items = [{"prompt": "p", "token_ids": [5, 999_999]}, {"prompt": "p", "token_ids": [5]}]
    with pytest.raises(ItemError, match="999999"):
        Labeler(synthetic.url).rewards(items)
    bad, good = Labeler(synthetic.url, on_failure="zero").rewards(items)
    assert bad == [0.0, 0.0]
    assert good != [0.0]
    assert reward_function(Labeler(synthetic.url)) is not None


def test_a_call_of_which_every_item_is_wrong_gives_nothing_too(refusing: Staged) -> None:
    item = {"prompt": "p", "token_ids": [5, 999_999]}
    with pytest.raises(ItemError, match="999999"):
        Labeler(refusing.url).rewards([item])
    zero = Labeler(refusing.url, on_failure="zero")
    assert zero.rewards([item]) == asyncio.run(zero.rewards_async([item])) == [[0.0, 0.0]]


def test_openrlhfs_reward_of_a_response_without_rewards_is_zero(refusing: Staged) -> None:
    reward_func = reward_function(Labeler(refusing.url, on_failure="zero"))
    assert reward_func(["p r"], ["p"], [None])["rewards"] == 0.0


def test_a_batch_of_which_every_row_is_wrong_has_empty_lists_and_the_errors(refusing: Staged) -> None:
    found = BatchLabels(url=refusing.url)({"prompt": ["p"], "response": ["r"], "token_ids": [[999_999]]})
    assert found == {"token_ids": [[]], "token_rewards": [[]], "token_error": ["invalid_item: id 999999 is unknown"]}


def test_rays_blocks_have_every_column_that_can_be_kept() -> None:
    pa = pytest.importorskip("pyarrow")
    include = [name for name in KEPT if name != "segments"]
    whole = {"ids": [[1, 2]], "logprobs": [[-1.0, -2.0]]}
    result = ItemResult.model_validate(
        {
            "index": 0,
            "token_ids": [5],
            "rewards": [0.5],
            "tokens": ["a"],
            "offsets": [[0, 1]],
            "difference": [1.0],
            "logprobs": {"plain": [-1.0]},
            "moments": {"plain": {"entropy": [1.0], "variance": [2.0]}},
            "top": {"plain": whole},
            "named": {"plain": whole},
        }
    )
    labeler = RayLabeler(url="http://127.0.0.1:9")
    columns = label_columns([result], ["response"], ["tokens", *include])
    labeler._labels = lambda batch: columns
    table = labeler(pa.table({"prompt": ["p"], "response": ["a"]}))
    assert set(columns) <= set(table.column_names)
    assert table["token_top"].to_pylist() == [[{"branch": "plain", **whole}]]


def test_a_teachers_log_probs_begin_where_they_are_asked_for(synthetic) -> None:
    teacher = Teacher(synthetic.url)
    whole, later = teacher.logprobs([[5, 6, 7, 8], [9, 8, 7]], [1, 2])
    assert (len(whole), len(later)) == (3, 1)
    assert teacher.logprobs([[5, 6, 7, 8]], [2]) == [whole[1:]]
    with pytest.raises(BadInput, match="its start is 3"):
        teacher.logprobs([[5, 6, 7]], [3])


def test_a_map_over_a_dataset_adds_what_label_dataset_would(example, synthetic, tmp_path) -> None:
    ran = example("datasets_map.py", "--resume", str(tmp_path / "labels"))
    rows = list(ran["label"](ran["pairs"], tmp_path / "labels", url=synthetic.url))
    (rewards,) = expected(synthetic, {"prompt": "What is 2 + 2?", "response": "2 + 2 = 4."})
    assert rows[0]["chosen_token_rewards"] == pytest.approx(rewards)
    assert len(rows[1]["rejected_token_ids"]) == len(rows[1]["rejected_token_rewards"])
    assert [row["chosen_token_error"] for row in rows] == ["", ""]


def test_a_batch_that_was_labeled_before_asks_nobody(synthetic, tmp_path) -> None:
    batch = {"prompt": ["p", "q"], "response": ["r", "s"]}
    first = BatchLabels(tmp_path, url=synthetic.url)(batch)
    nobody = BatchLabels(tmp_path, url="http://127.0.0.1:9", patience=0)
    assert nobody(batch) == first
    assert BatchLabels(tmp_path, url=synthetic.url, estimator="surprisal")(batch) != first


def test_labels_of_another_provenance_are_not_mixed_into_a_folder(synthetic, tmp_path) -> None:
    BatchLabels(tmp_path, url=synthetic.url)({"prompt": ["p"], "response": ["r"]})
    (note,) = tmp_path.rglob("provenance.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"tokenreward_version": "0"}))
    with pytest.raises(BadInput, match="another model or version"):
        BatchLabels(tmp_path, url=synthetic.url)({"prompt": ["p"], "response": ["another"]})


def test_a_response_without_labels_keeps_its_columns_types(synthetic) -> None:
    found = BatchLabels(url=synthetic.url)(
        {"prompt": ["p", "p"], "response": ["r", "s"], "token_ids": [[5], [999_999]]}
    )
    assert found["token_rewards"][1] == []
    assert "999999" in found["token_error"][1]
    assert found["token_error"][0] == ""
