"""What docs/integrations.md shows is what the examples do."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_excerpt_stands_in_the_example_that_the_text_names() -> None:
    page = (ROOT / "docs" / "integrations.md").read_text("utf-8")
    examples = {file.name: file.read_text("utf-8") for file in (ROOT / "examples" / "trainers").glob("*.py")}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 9
    assert [block for block in blocks if not any(block in text for text in examples.values())] == []
    assert [name for name in examples if f"examples/trainers/{name}" not in page] == []
