"""Who may import whom outside the four components: tests and benchmarks stand on the harness, and on no path edits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [path for folder in ("benchmarks", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
COMPONENTS = [path for folder in ("client", "service", "workers", "trainer") for path in (ROOT / folder).rglob("*.py")]


def imported(path: Path) -> Iterator[str]:
    """The top-level names of every import in a file, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_benchmarks_import_nothing_from_the_tests() -> None:
    benchmarks = (ROOT / "benchmarks").rglob("*.py")
    assert [str(path) for path in benchmarks if "tests" in imported(path)] == []


def test_no_component_imports_tests_or_benchmarks() -> None:
    outside = {"tests", "benchmarks"}
    assert {str(path): found for path in COMPONENTS if (found := outside & {*imported(path)})} == {}


def test_nobody_edits_the_module_search_path() -> None:
    def edits(path: Path) -> bool:
        nodes = ast.walk(ast.parse(path.read_bytes()))
        return any(isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path" for node in nodes)

    assert [str(path) for path in FILES if edits(path)] == []
