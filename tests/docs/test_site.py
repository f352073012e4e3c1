"""The documentation as a site: it builds without a warning, and is read without any other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.waiting import patience
from tests.web.conftest import CHROMIUM, browser  # noqa: F401 (a fixture)

ROOT = Path(__file__).parents[2]

pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience(180))
    assert run.returncode == 0, run.stderr
    assert "WARNING" not in run.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_built_and_loads_nothing_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - {page.stem for page in pages} == set()
    loaded = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?(https?:|//)|<link\b[^>]*\bhref=\"?(https?:|//)")
    assert [page.name for page in pages if loaded.search(page.read_text("utf-8"))] == []


@pytest.mark.slow
def test_a_page_opens_from_the_disk_and_the_search_finds_a_word(site: Path, browser: Any) -> None:  # noqa: F811
    tab = browser.new_page()
    elsewhere: list[str] = []
    tab.on("request", lambda request: request.url.startswith("http") and elsewhere.append(request.url))
    tab.goto((site / "index.html").as_uri())
    tab.get_by_role("textbox", name="Search").click()
    tab.keyboard.type("fingerprint", delay=20)
    tab.locator(".md-search-result__item").first.wait_for(timeout=1000 * patience(20))
    assert elsewhere == []
