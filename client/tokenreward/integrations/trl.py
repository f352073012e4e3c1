"""TRL: rewards for every token in GRPO, and the reference log-probs of DPO from the service.

TRL's distillation trainers need nothing of ours: `ServerDistillationConfig(teacher_model_server_url=URL)` takes the
service's address. Read and tested: TRL 1.16.0, `trl/trainer/grpo_trainer.py` (rewards are per response; `_compute_loss`
takes advantages of shape `[B, T]` from subclasses) and `trl/trainer/dpo_trainer.py` (`_precompute_ref_logps`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenreward.errors import BadInput
from tokenreward.integrations.labeler import Labeler
from tokenreward.integrations.teacher import Teacher

#: From a row of the dataset to further fields of its item, such as `{"context": {"reference": row["solution"]}}`.
ItemFields = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _nothing(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}


class MeanTokenReward:
    """A reward function for TRL's `reward_funcs`: the mean reward of a response's tokens, in [-0.5, 0.5].

    Args:
        labeler: How responses are labeled.
        fields: Further fields of each row's item.
    """

    __name__ = "mean_token_reward"

    def __init__(self, labeler: Labeler, fields: ItemFields = _nothing) -> None:
        self._labeler = labeler
        self._fields = fields

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Sequence[list[int]], **columns: Any
    ) -> list[float]:
        lists = {name: values for name, values in columns.items() if isinstance(values, list)}
        rows = [
            {"prompt": prompt} | {name: values[n] for name, values in lists.items() if len(values) == len(prompts)}
            for n, prompt in enumerate(prompts)
        ]
        rewards = self._labeler.rewards(_items(rows, completion_ids, self._fields))
        return [sum(values) / len(values) if values else 0.0 for values in rewards]


def with_token_rewards(
    trainer_class: type, labeler: Labeler, *, weight: float = 1.0, fields: ItemFields = _nothing
) -> type:
    """Make a GRPO trainer whose advantages have the rewards of single tokens in them.

    A_{i,t} = A_i + weight * r_{i,t}: A_i is what `trainer_class` makes of the rewards of whole responses, and r_{i,t}
    the reward of token t of response i, 0 for tokens that are masked out.

    Args:
        trainer_class: `trl.GRPOTrainer`, or a class made from it.
        labeler: How responses are labeled.
        weight: The weight of the rewards of tokens.
        fields: Further fields of each row's item.

    Returns:
        A subclass, with the arguments of `trainer_class`.
    """

    class TokenRewardTrainer(trainer_class):
        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
            ids, kept = output["completion_ids"], output["completion_mask"].bool()
            responses = [row[mask].tolist() for row, mask in zip(ids, kept, strict=True)]
            scored = [n for n, response in enumerate(responses) if response]
            rows = [inputs[n] for n in scored]
            rewards = labeler.rewards(_items(rows, [responses[n] for n in scored], fields))
            advantages = output["advantages"].unsqueeze(1).repeat(1, ids.shape[1])
            for n, values in zip(scored, rewards, strict=True):
                advantages[n, kept[n]] += weight * advantages.new_tensor(values)
            output["advantages"] = advantages
            return output

    TokenRewardTrainer.__name__ = f"TokenReward{trainer_class.__name__}"
    return TokenRewardTrainer


def with_reference_of(trainer_class: type, teacher: Teacher) -> type:
    """Make a DPO trainer that gets its reference log-probs from the service, and keeps no reference model.

    It scores exactly the ids that it trains on. Set `precompute_ref_log_probs=True`.

    Args:
        trainer_class: `trl.DPOTrainer`, or a class made from it.
        teacher: The served reference model.

    Returns:
        A subclass, with the arguments of `trainer_class`.
    """

    class ServedReferenceTrainer(trainer_class):
        def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
            if self.args.ld_alpha is not None:
                raise BadInput(
                    "ld_alpha weighs single tokens; sums of the reference's log-probs cannot be used with it"
                )
            return reference_columns(dataset, teacher, self.args.max_length, self.args.truncation_mode)

    ServedReferenceTrainer.__name__ = f"ServedReference{trainer_class.__name__}"
    return ServedReferenceTrainer


def reference_columns(
    dataset: Any, teacher: Teacher, max_length: int | None = None, truncation: str = "keep_start"
) -> Any:
    """Add TRL's columns `ref_chosen_logps` and `ref_rejected_logps` to a tokenized preference dataset.

    Args:
        dataset: A `datasets.Dataset` with `prompt_ids`, `chosen_ids` and `rejected_ids`.
        teacher: The served reference model.
        max_length: To how many tokens the trainer cuts prompt and response; None if it does not.
        truncation: `keep_start` or `keep_end`.

    Returns:
        The dataset with the sum of each response's log-probs, as the trainer would compute it.
    """

    def add(batch: Mapping[str, list[Any]]) -> dict[str, list[float]]:
        columns = {}
        for side in ("chosen", "rejected"):
            pairs = zip(batch["prompt_ids"], batch[f"{side}_ids"], strict=True)
            cut = [_cut(prompt, response, max_length, truncation) for prompt, response in pairs]
            scored = [(ids, start) for ids, start in cut if start < len(ids)]
            sums = map(sum, teacher.logprobs([ids for ids, _ in scored], [start for _, start in scored]))
            columns[f"ref_{side}_logps"] = [next(sums) if start < len(ids) else 0.0 for ids, start in cut]
        return columns

    return dataset.map(add, batched=True, batch_size=64, desc="reference log-probs")


def _cut(prompt: list[int], response: list[int], most: int | None, truncation: str) -> tuple[list[int], int]:
    """Prompt and response as the trainer sees them, and where the response begins; the first token has no log-prob."""
    ids, start = [*prompt, *response], len(prompt)
    if most is not None and len(ids) > most:
        if truncation == "keep_end":
            ids, start = ids[-most:], max(0, start - (len(ids) - most))
        else:
            ids = ids[:most]
    return ids, max(1, start)


def _items(
    rows: Sequence[Mapping[str, Any]], responses: Sequence[list[int]], fields: ItemFields
) -> list[dict[str, Any]]:
    return [
        {"prompt": row["prompt"], "token_ids": response, **fields(row)}
        for row, response in zip(rows, responses, strict=True)
    ]
