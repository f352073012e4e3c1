"""GRPO in TRL with a reward for every token: each advantage is the response's, and the token's reward on top.

tokenreward serve &
python examples/trainers/trl_grpo.py --model HuggingFaceTB/SmolLM2-135M-Instruct
"""

import argparse

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from tokenreward.integrations.labeler import Labeler
from tokenreward.integrations.trl import MeanTokenReward, with_token_rewards

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="the policy; the service must serve a model with its tokenizer")
parser.add_argument("--out", default="runs/grpo")
parser.add_argument("--steps", type=int, default=20)
arguments = parser.parse_args()

questions = ["What is 17 + 25?", "Name a river in France.", "What is 9 * 8?", "Spell 'rhythm' backwards."]
rows = Dataset.from_dict({"prompt": [[{"role": "user", "content": question}] for question in questions]})

labeler = Labeler(estimator="contrast")  # the service's address comes from TOKENREWARD_URL
trainer = with_token_rewards(GRPOTrainer, labeler, weight=0.5)(
    model=arguments.model,
    reward_funcs=MeanTokenReward(labeler),
    train_dataset=rows,
    args=GRPOConfig(
        arguments.out,
        max_steps=arguments.steps,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=32,
        logging_steps=1,
        bf16=False,  # a bfloat16 run needs a GPU
        report_to="none",
    ),
)
trainer.train()
print("trained for", trainer.state.global_step, "steps")
