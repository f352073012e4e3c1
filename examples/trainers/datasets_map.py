"""`datasets.map` over a preference set. Killed and started again, it asks only for what is missing.

tokenreward serve &
python examples/trainers/datasets_map.py
"""

import argparse

from datasets import Dataset

from tokenreward.integrations.datasets_map import label

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--resume", default="runs/labels", help="a folder that keeps what is labeled")
arguments = parser.parse_args()

pairs = Dataset.from_dict(
    {
        "prompt": ["What is 2 + 2?", "Name the capital of France."],
        "chosen": ["2 + 2 = 4.", "Paris."],
        "rejected": ["2 + 2 = 5.", "Lyon."],
    }
)
for row in label(pairs, arguments.resume):
    print(row["chosen"], row["chosen_token_rewards"])
