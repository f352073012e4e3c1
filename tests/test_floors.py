"""The walls between the components and the floors inside them, read from the imports.

A component is a house of floors. A module imports from its own floor and from those below, never from above, and no
imports run in a circle. FLOORS is the whole list; docs/architecture.md shows the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: package -> its folder
PACKAGES = {
    "tokenreward": "client",
    "tokenreward_service": "service",
    "tokenreward_workers": "workers",
    "tokenreward_trainer": "trainer",
}

#: package -> floors, the highest first. A name stands for a module or a package, and for everything in it; the longest
#: name that fits a module counts.
FLOORS: dict[str, list[list[str]]] = {
    "tokenreward": [
        ["cli", "completion"],
        ["commands"],
        ["audit"],
        ["show"],
        ["integrations"],
        ["dataset"],
        [
            *("http", "protocol", "chat_format", "checkpoint", "statistics", "html"),
            *("estimators", "templates", "segments", "advantages"),
        ],
        ["settings", "embedded_service", "vllm_environment"],
        ["environment", "child_process", "extras", "cpu_share"],
        ["schema"],
        ["errors", "arguments"],
    ],
    "tokenreward_service": [
        ["cli", "api_keys.cli", "tools"],
        ["serving"],
        ["app"],
        ["routes", "web", "wires"],
        ["runtime"],
        ["intake", "results", "events", "recovery", "monitoring"],
        ["fleet", "store"],
        ["api_keys", "embedded", "http"],
        ["problems", "settings"],
        ["addresses", "cancellation", "version"],
    ],
    "tokenreward_workers": [
        ["cli", "main", "tools"],
        ["process"],
        ["shards"],
        ["store", "model_files", "rendering"],
        ["engines"],
        ["scoring", "settings"],
        ["wanted"],
    ],
    "tokenreward_trainer": [
        ["cli"],
        ["pipeline"],
        ["evaluation", "rto"],
        ["report", "ranking", "labeler", "planning", "merging"],
        ["training", "sampling", "scorers"],
        ["model"],
        ["data", "losses", "prompts"],
        ["resumable", "config_file", "cli_options", "doubtful", "configs", "recipes"],
    ],
}

#: package -> packages that none of its modules may import, at whatever depth of its code
FORBIDDEN = {
    "tokenreward": {"tokenreward_service", "tokenreward_workers", "tokenreward_trainer", "fastapi", "torch", "vllm"},
    "tokenreward_service": {"tokenreward_workers", "tokenreward_trainer", "torch", "vllm", "transformers"},
    "tokenreward_workers": {"tokenreward_service", "tokenreward_trainer", "fastapi", "starlette", "uvicorn"},
    "tokenreward_trainer": {"tokenreward_service", "tokenreward_workers", "fastapi"},
}


@dataclass(frozen=True)
class Import:
    """One import. late: it happens when a function is called, not when the module is loaded."""

    module: str
    line: int
    late: bool


@cache
def modules() -> dict[str, Path]:
    """Every module of the four packages, by its name."""
    found = {}
    for package, folder in PACKAGES.items():
        for file in sorted((ROOT / folder / package).rglob("*.py")):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imports(module: str) -> list[Import]:
    """Every import of a module, but those for type checkers only."""
    file = modules()[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return list(_imports(ast.parse(file.read_text("utf-8")), package, late=False))


def _imports(node: ast.AST, package: str, *, late: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            for name in child.names:
                yield Import(name.name, child.lineno, late)
        elif isinstance(child, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
            base = ".".join([*above, *([child.module] if child.module else [])])
            for name in child.names:
                whole = f"{base}.{name.name}"
                yield Import(whole if whole in modules() else base, child.lineno, late)
        else:
            inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, package, late=inside)


def floor(package: str, module: str) -> int | None:
    """The number of a module's floor, 0 for the highest; None for the package's own `__init__`, which re-exports."""
    inside = module.removeprefix(package).removeprefix(".")
    fitting = [
        (len(name), number)
        for number, names in enumerate(FLOORS[package])
        for name in names
        if inside == name or inside.startswith(name + ".")
    ]
    return max(fitting)[1] if fitting else None


def of_package(package: str) -> list[str]:
    return [module for module in modules() if module == package or module.startswith(package + ".")]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_lives_on_a_floor(package: str) -> None:
    homeless = [module for module in of_package(package) if module != package and floor(package, module) is None]
    assert homeless == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_from_a_floor_above(package: str) -> None:
    upward = [
        f"{module}:{found.line} (floor {here}) imports {found.module} (floor {there})"
        for module in of_package(package)
        if (here := floor(package, module)) is not None
        for found in imports(module)
        if found.module.startswith(package + ".")
        and (there := floor(package, found.module)) is not None
        and there < here
    ]
    assert upward == []


def test_no_imports_run_in_a_circle() -> None:
    left = {
        module: {found.module for found in imports(module) if not found.late and found.module in modules()} - {module}
        for module in modules()
    }
    # Modules that import nothing that is left can be in no circle; take them away until nothing changes.
    while free := [module for module, needed in left.items() if not needed & left.keys()]:
        for module in free:
            del left[module]
    assert {module: sorted(needed & left.keys()) for module, needed in left.items()} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_walls_between_the_components_hold(package: str) -> None:
    through = [
        f"{module}:{found.line} imports {found.module}"
        for module in of_package(package)
        for found in imports(module)
        for wall in FORBIDDEN[package]
        if found.module == wall or found.module.startswith(wall + ".")
    ]
    assert through == []


def test_only_what_draws_imports_the_drawing_package() -> None:
    drawing = (
        "tokenreward.show",
        "tokenreward.commands.show",
        "tokenreward.commands.inspect",
        "tokenreward.audit.output",
        "tokenreward_trainer.report",
        "tokenreward_trainer.pipeline.stages.report",
    )
    readers = [
        f"{module}:{found.line} imports {found.module}"
        for module in modules()
        if not module.startswith(drawing)
        for found in imports(module)
        if found.module.startswith("tokenreward.show")
    ]
    assert readers == []
