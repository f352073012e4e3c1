"""Labeling whole files and datasets: read, cut into jobs, follow, and write one complete file at the end.

`rows` finds the prompt and the responses in a row; `jsonl` and `arrow` read and write the formats; `progress`
tells people; `state` is what a rerun needs to go on; `outcome` is what a run
leaves; `label` is the loop over all that.
"""

from tokenreward.dataset.formats import read_meta
from tokenreward.dataset.labeled_file import Labeled
from tokenreward.dataset.labeling import label_dataset

__all__ = ["Labeled", "label_dataset", "read_meta"]
