"""Labeling whole files and datasets: read, cut into jobs, follow, and write one complete file at the end.

`formats` decides which format a path means, and reads labeled rows. `jsonl`, `arrow_source`, `arrow_sink`,
`arrow_streams`, `arrow_tables` and `typed_rows` are the formats; `base` is their interface. `row_layout` finds the
prompt and the responses in a row, with `row_values`, `implicit_prompt` and `columns`. `chunks` cuts rows into jobs,
`label_run` is the loop over them, `labeling` the call as a whole. `resume` keeps what a rerun needs to go on,
`labeled_file` writes the finished file, `meta` says where its metadata is, `atomic` writes files that appear whole, and
`progress` shows how far a run is.
"""

from tokenreward.dataset.formats import read_meta
from tokenreward.dataset.labeled_file import Labeled
from tokenreward.dataset.labeling import label_dataset

__all__ = ["Labeled", "label_dataset", "read_meta"]
