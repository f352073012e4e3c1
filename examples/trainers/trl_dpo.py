"""DPO in TRL with the reference model's log-probs from the service: the trainer keeps no reference model.

tokenreward serve &
python examples/trainers/trl_dpo.py --model HuggingFaceTB/SmolLM2-135M-Instruct
"""

import argparse

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from tokenreward.integrations.teacher import Teacher
from tokenreward.integrations.trl import with_reference_of

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="the policy as it begins; the service must serve the same model")
parser.add_argument("--out", default="runs/dpo")
parser.add_argument("--steps", type=int, default=10)
arguments = parser.parse_args()


def turn(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


pairs = Dataset.from_list(
    [
        {
            "prompt": turn("user", "What is 2 + 2?"),
            "chosen": turn("assistant", "2 + 2 = 4."),
            "rejected": turn("assistant", "2 + 2 = 5."),
        },
        {
            "prompt": turn("user", "Name the capital of France."),
            "chosen": turn("assistant", "The capital of France is Paris."),
            "rejected": turn("assistant", "The capital of France is Lyon."),
        },
    ]
)

trainer = with_reference_of(DPOTrainer, Teacher())(  # the service's address comes from TOKENREWARD_URL
    model=arguments.model,
    train_dataset=pairs,
    args=DPOConfig(
        arguments.out,
        precompute_ref_log_probs=True,
        max_steps=arguments.steps,
        per_device_train_batch_size=2,
        logging_steps=1,
        bf16=False,  # a bfloat16 run needs a GPU
        report_to="none",
    ),
)
trainer.train()
print("reference log-probs:", trainer.train_dataset["ref_chosen_logps"][:])
