"""Items and results as Arrow IPC with zstd buffers: small in Redis, and ready to be sent as Arrow.

`entries` are the items of a slice, `results` the outcomes of a range, `ipc` is the encoding of both. What is stored in
Redis is such a blob itself or a reference to it, see `spill`.
"""

from tokenreward.protocol.arrow_blobs.entries import (
    ENTRIES_SCHEMA,
    Entry,
    pack_entries,
    unpack_entries,
    unpack_ids,
)
from tokenreward.protocol.arrow_blobs.ipc import warm_up
from tokenreward.protocol.arrow_blobs.results import (
    RESULTS_SCHEMA,
    pack_failures,
    pack_results,
    pack_table,
    result_rows,
    to_table,
    unpack_results,
)

__all__ = [
    "ENTRIES_SCHEMA",
    "RESULTS_SCHEMA",
    "Entry",
    "pack_entries",
    "pack_failures",
    "pack_results",
    "pack_table",
    "result_rows",
    "to_table",
    "unpack_entries",
    "unpack_ids",
    "unpack_results",
    "warm_up",
]
