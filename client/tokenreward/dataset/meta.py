"""Where a labeled file keeps its metadata: in the schema of parquet and arrow files, and beside a JSONL file."""

from __future__ import annotations

from pathlib import Path

#: The key under which the schema of parquet and arrow files holds the metadata, as JSON.
META_KEY = b"tokenreward"


def meta_path(out: Path) -> Path:
    """Return where the metadata of a JSON Lines file stands."""
    return out.with_name(out.name + ".meta.json")
