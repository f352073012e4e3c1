"""`datasets.map`: labels for a dataset, also for one that is mapped by several processes or read as a stream.

`datasets` keeps what a map made only once it has ended. With a folder to resume from, a map that was killed goes on
where it was. For a file in and a file out, `tokenreward.label_dataset` does the same with more checks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward.integrations.batches import BatchLabels


def label(dataset: Any, resume: str | Path | None = None, *, batch_size: int = 64, **options: Any) -> Any:
    """Add labels to every row of a dataset.

    Args:
        dataset: A `datasets.Dataset` or `IterableDataset` with rows that `tokenreward.label_dataset` would read.
        resume: A folder that keeps what is labeled.
        batch_size: Rows of one call.
        **options: Those of `BatchLabels`; and `num_proc`, for several processes of a `Dataset`.

    Returns:
        The dataset with the columns of labels.
    """
    processes = {"num_proc": options.pop("num_proc")} if "num_proc" in options else {}
    return dataset.map(BatchLabels(resume, **options), batched=True, batch_size=batch_size, **processes)
