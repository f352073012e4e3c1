"""Ray Data: labels for a dataset, by actors that call the service.

    rows = ray.data.read_parquet("pairs/")
    label(rows, resume="s/labels").write_parquet("labeled/")

The actors need no GPU: they wait for the service, which has them. `resume` is a folder that all of them can write to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from tokenreward.dataset.arrow_sink import type_of
from tokenreward.integrations.batches import BatchLabels


class RayLabeler:
    """An actor of `map_batches` with `batch_format="pyarrow"`. Its arguments are those of `BatchLabels`."""

    def __init__(self, resume: str | Path | None = None, **options: Any) -> None:
        self._labels = BatchLabels(resume, **options)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return a block with the columns of labels."""
        for name, values in self._labels(table.to_pydict()).items():
            column = pa.array(values, type_of(name))
            at = table.schema.get_field_index(name)
            table = table.append_column(name, column) if at < 0 else table.set_column(at, name, column)
        return table


def label(
    dataset: Any,
    resume: str | Path | None = None,
    *,
    batch_size: int = 64,
    concurrency: int | tuple[int, int] = 2,
    cpus: float = 0.25,
    **options: Any,
) -> Any:
    """Add labels to every row of a Ray dataset.

    Args:
        dataset: A `ray.data.Dataset` with rows that `tokenreward.label_dataset` would read.
        resume: A folder that keeps what is labeled.
        batch_size: Rows of one call.
        concurrency: How many actors call the service, or the least and the most of them.
        cpus: The share of a CPU that Ray books for each; they mostly wait.
        **options: Those of `BatchLabels`.

    Returns:
        The dataset with the columns of labels, which is lazy as Ray's are.
    """
    return dataset.map_batches(
        RayLabeler,
        fn_constructor_kwargs={"resume": None if resume is None else str(resume), **options},
        batch_format="pyarrow",
        batch_size=batch_size,
        concurrency=concurrency,
        num_cpus=cpus,
    )
