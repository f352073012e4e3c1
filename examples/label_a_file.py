"""Label a file of preference pairs, and print what came of it.

    tokenreward serve --model Qwen/Qwen3-8B &
    python examples/label_a_file.py

The service is found at TOKENREWARD_URL (default: this machine). If you stop the script, it goes on where it stopped.
"""

import json
from pathlib import Path

from tokenreward import label_dataset

PAIRS = [
    {"prompt": "What is 2+2?", "chosen": "2+2 equals 4.", "rejected": "2+2 equals 5."},
    {"prompt": "Name a prime above 10.", "chosen": "11 is a prime.", "rejected": "12 is a prime."},
]

source = Path("pairs.jsonl")
source.write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS))
labeled = label_dataset(source, "labeled.jsonl", tokens=True)
print(f"{labeled.rows} rows, {labeled.tokens} tokens, {labeled.failed} responses without rewards")

for line in Path("labeled.jsonl").read_text().splitlines():
    row = json.loads(line)
    better, worse = (sum(row[f"{side}_token_rewards"]) for side in ("chosen", "rejected"))
    print(f"{row['prompt']:<24} chosen {better:+.3f}, rejected {worse:+.3f}")
