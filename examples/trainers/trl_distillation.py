"""Distillation in TRL from a teacher that the service serves: TRL's own trainer, with the service's address.

tokenreward serve &
python examples/trainers/trl_distillation.py --model HuggingFaceTB/SmolLM2-135M-Instruct --teacher http://127.0.0.1:8383
"""

import argparse

from datasets import Dataset
from trl.experimental.server_distillation import ServerDistillationConfig, ServerDistillationTrainer

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="the student; the teacher must have its tokenizer")
parser.add_argument("--teacher", required=True, help="the service's address")
parser.add_argument("--out", default="runs/distillation")
parser.add_argument("--steps", type=int, default=5)
arguments = parser.parse_args()

questions = ["What is 17 + 25?", "Name a river in France.", "What is 9 * 8?", "Spell 'rhythm' backwards."]
rows = Dataset.from_dict({"prompt": [[{"role": "user", "content": question}] for question in questions]})

trainer = ServerDistillationTrainer(
    model=arguments.model,
    train_dataset=rows,
    args=ServerDistillationConfig(
        arguments.out,
        teacher_model_server_url=arguments.teacher,
        beta=0.0,
        loss_top_k=16,
        max_completion_length=24,
        max_steps=arguments.steps,
        per_device_train_batch_size=2,
        logging_steps=1,
        bf16=False,  # a bfloat16 run needs a GPU
        report_to="none",
    ),
)
trainer.train()
print("trained for", trainer.state.global_step, "steps")
