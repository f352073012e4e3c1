"""Ray Data: parquet in, parquet with a reward for every token out.

tokenreward serve &
python examples/trainers/ray_data.py --data pairs.parquet --out labeled/ --resume runs/labels
"""

import argparse

import ray

from tokenreward.integrations.ray_data import label

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", required=True)
parser.add_argument("--out", required=True)
parser.add_argument("--resume", required=True, help="a folder that all actors can write to")
arguments = parser.parse_args()

rows = ray.data.read_parquet(arguments.data)
label(rows, arguments.resume, batch_size=32, concurrency=1).write_parquet(arguments.out)
