"""Which texts can be names of data sets on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from tokenreward.dataset.inputs.file_kinds import kind_of

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(?::[\w.-]+)?")


def is_hub_name(name: str) -> bool:
    """Return whether a name is `owner/name`, or `owner/name:configuration`, and not that of a data file or a folder."""
    if _NAME.fullmatch(name) is None or kind_of(Path(name)) is not None:
        return False
    return not Path(name.partition("/")[0]).is_dir()
