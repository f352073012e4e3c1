"""Labeling whole files and datasets: read, cut into jobs, follow, and write one complete file at the end.

`inputs` opens whatever is to be labeled. `formats` decides which format a path means, and reads labeled rows; `jsonl`,
`arrow_source`, `arrow_sink`, `arrow_streams`, `arrow_tables` and `typed_rows` are the formats, and `base` is their
interface. `row_layout` decides what a row is, with the package `shapes`, `row_prompt` and `row_values`. `reading` reads
an input as a whole before anything is sent, `understood` says what it found, and `bad_rows` what cannot be labeled.
`chunks` cuts rows into jobs, `label_run` is the loop over them, `labeling` the call as a whole. `resume` keeps what a
rerun needs to go on, `labeled_file` writes the finished file, and `progress` shows how far a run is.
"""

from tokenreward.dataset.formats import read_meta
from tokenreward.dataset.labeled_file import Labeled
from tokenreward.dataset.labeling import label_dataset

__all__ = ["Labeled", "label_dataset", "read_meta"]
