"""Every file, module and make target that the documents name exists, and the floors they show are the floors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_floors import FLOORS, modules

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]

#: Folders of the repository. A path that begins with one of them has to exist.
TOP = "benchmarks|client|docs|examples|service|tests|trainer|workers"
_PATH = re.compile(rf"(?<![\w./-])(?:{TOP})(?:/[\w.-]+)+/?")
#: The end of a path to code: a page may shorten paths where it has said in which folder they are.
_CODE = re.compile(r"(?<![\w./-])(?:[\w.-]+/)*\w+\.(?:py|lua|js)\b")
_MODULE = re.compile(r"(?<![\w./@:-])tokenreward\w*(?:\.\w+)+")
_TARGET = re.compile(r"`make ([a-z-]+)")
#: A placeholder of an instruction ("NAME.py"), a file that a command makes, or a file of somebody else's.
_NOT_OURS = re.compile(r"NAME|^benchmarks/results/|^utils/add_markdown_info.py$")


def found(pattern: re.Pattern[str], page: Path) -> Iterator[str]:
    for match in pattern.finditer(page.read_text("utf-8")):
        yield (match[1] if pattern.groups else match[0]).rstrip(".")


def exists_as_module(name: str) -> bool:
    """Whether a dotted name is a module, or something that a module, or a class in it, has."""
    known = modules()
    if name in known:
        return True
    owner, _, attribute = name.rpartition(".")
    while owner and owner not in known:
        owner, _, attribute = owner.rpartition(".")
    return bool(owner) and re.search(rf"\b{attribute}\b", known[owner].read_text("utf-8")) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    paths = (path for path in found(_PATH, page) if not _NOT_OURS.search(path))
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_code_that_a_page_names_exists(page: Path) -> None:
    names = [name for name in found(_CODE, page) if not _NOT_OURS.search(name)]
    files = [f"/{file.relative_to(ROOT)}" for top in TOP.split("|") for file in (ROOT / top).rglob("*.*")]
    assert [name for name in names if not any(file.endswith("/" + name) for file in files)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    assert [name for name in found(_MODULE, page) if not exists_as_module(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert [name for name in found(_TARGET, page) if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_every_page_has_one_place_in_the_navigation_of_the_site() -> None:
    named = re.findall(r"^ +- ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


def test_every_message_in_troubleshooting_is_one_that_the_code_says() -> None:
    code = "".join(
        path.read_text("utf-8") for top in ("client", "service", "workers") for path in (ROOT / top).rglob("*.py")
    )
    messages = re.findall(r"^### `(.+)`$", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)
    assert len(messages) > 25
    parts = [part.strip() for message in messages for part in message.split("…") if part.strip()]
    assert [part for part in parts if part not in code] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 120


def test_a_name_that_does_not_exist_is_noticed() -> None:
    assert not exists_as_module("tokenreward.merger")
    assert not exists_as_module("tokenreward_service.store.no_such_thing")
    assert exists_as_module("tokenreward_service.tools.redis_acl")


@pytest.mark.parametrize("package", FLOORS)
def test_the_floors_in_the_document_are_the_floors(package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    block = re.search(rf"^```text\n{package}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert [line.strip().split(", ") for line in block[1].splitlines()] == FLOORS[package]


@pytest.mark.parametrize("package", FLOORS)
def test_every_name_on_a_floor_is_a_module_or_a_folder(package: str) -> None:
    folder = modules()[package].parent
    names = [name.replace(".", "/") for floor in FLOORS[package] for name in floor]
    assert [name for name in names if not (folder / name).is_dir() and not (folder / f"{name}.py").is_file()] == []
