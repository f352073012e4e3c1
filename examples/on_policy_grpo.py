"""On-policy self-distillation with TRL's GRPO: the policy, shown a right solution, judges the tokens that it sampled.

    tokenreward serve --model ./my-model --dtype float32 &
    python examples/on_policy_grpo.py --model ./my-model --questions questions.jsonl --out runs/grpo

`questions.jsonl` has `prompt` and `privilege`, which the policy is shown when it judges and not when it answers. Every
few steps the adapter is saved and put; the responses that are sampled until the next time are labeled by exactly that
version, which the reward function checks. GRPO takes one number for a response: here the mean of its token rewards
(estimator `privileged` under template `self`; SDPO's token form, arXiv 2601.20802).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOConfig, GRPOTrainer

from tokenreward import Client


class PolicyLabels(TrainerCallback):
    """Puts the policy every few steps, and labels responses with the version that was put last.

    Attributes:
        versions: Every version that was put, in order.
    """

    def __init__(self, client: Client, out: Path, every: int) -> None:
        self.versions: list[str] = []
        self._client, self._out, self._every = client, out, every

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Put the policy before anything is sampled."""
        self._put(given["model"], 0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Put it again when it is time to."""
        if state.global_step % self._every == 0:
            self._put(given["model"], state.global_step)

    def rewards(self, prompts: list[Any], completion_ids: list[list[int]], privilege: list[str]) -> list[float | None]:
        """Return the mean token reward of each response; None for one that could not be labeled."""
        version = self.versions[-1]
        items = [
            {"prompt": prompt, "token_ids": ids, "context": {"privilege": known}}
            for prompt, ids, known in zip(prompts, completion_ids, privilege, strict=True)
        ]
        answer = self._client.label(items, template="self", estimator="privileged", models={"policy": version})
        scored = {use.name for use in answer.provenance.models}
        if scored != {version}:
            raise RuntimeError(f"labeled by {scored}, and {version} was asked for")
        return [
            None if result.rewards is None else sum(result.rewards) / len(result.rewards) for result in answer.results
        ]

    def _put(self, model: Any, step: int) -> None:
        folder = self._out / f"step-{step}"
        model.save_pretrained(folder)
        put = self._client.adapters.put("policy", folder)
        self.versions.append(f"{put.name}@{put.version}")
        print(f"step {step}: {self.versions[-1]}", flush=True)


def main(argv: list[str] | None = None) -> list[str]:
    """Train. Returns every version that labeled responses."""
    options = _options(argv)
    with Client(options.url) as client:
        labels = PolicyLabels(client, options.out, options.every)

        def token_rewards(prompts: list[Any], completion_ids: list[list[int]], privilege: list[str], **_: Any) -> Any:
            return labels.rewards(prompts, completion_ids, privilege)

        questions = Dataset.from_json(str(options.questions))
        questions = questions.map(lambda row: {"prompt": [{"role": "user", "content": row["prompt"]}]})
        trainer = GRPOTrainer(
            model=options.model,
            reward_funcs=token_rewards,
            args=GRPOConfig(
                output_dir=str(options.out / "trainer"),
                max_steps=options.steps,
                num_generations=options.generations,
                per_device_train_batch_size=options.generations,
                max_completion_length=options.tokens,
                learning_rate=1e-5,
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                use_cpu=options.cpu,
                bf16=False,
                disable_tqdm=True,
            ),
            train_dataset=questions,
            processing_class=AutoTokenizer.from_pretrained(options.model, padding_side="left"),
            peft_config=LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
            callbacks=[labels],
        )
        trainer.train()
    return labels.versions


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the base model that the service serves")
    parser.add_argument("--questions", type=Path, required=True, help="JSONL with prompt and privilege")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--url", help="the service (default: TOKENREWARD_URL, or this host)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--every", type=int, default=5, help="steps between two versions")
    parser.add_argument("--generations", type=int, default=4, help="responses to each question")
    parser.add_argument("--tokens", type=int, default=128, help="the most tokens of a response")
    parser.add_argument("--cpu", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
