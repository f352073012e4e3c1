"""TODO: what this module owns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


#: The key of the schema metadata of parquet and arrow files under which `meta` stands as JSON.
META_KEY = b"tokenreward"


def meta_path(out: Path) -> Path:
    return out.with_name(out.name + ".meta.json")
