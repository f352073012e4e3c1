"""The service below a path: what proxies do and say, and what nobody may make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from starlette.testclient import TestClient

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience
from tests.support.reverse_proxy import reverse_proxy
from tokenreward import Client
from tokenreward.errors import BadInput
from tokenreward_service.app import create_app
from tokenreward_service.http.path_prefix import PathPrefix
from tokenreward_service.settings import ServiceSettings

pytestmark = pytest.mark.processes

ITEM = {"prompt": "p", "response": "below a path"}


@pytest.fixture(scope="module")
def below(synthetic: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another API of the same store, with a `root_path` of its own: its address without that path."""
    other = Stack(tmp_path_factory.mktemp("below"))
    other.redis_url = synthetic.redis_url
    with_path = ["--root-path", "/rewards"]
    other.start_api(0, *with_path)
    yield other.url.removesuffix("/rewards")
    assert other.api is not None
    other.api.stop()


@pytest.fixture(params=["stripped and told", "left and told", "stripped and set", "left and set"])
def address(request: pytest.FixtureRequest, synthetic: Stack, below: str) -> Iterator[str]:
    way: str = request.param
    upstream = below if way.endswith("set") else synthetic.url
    with reverse_proxy(upstream, "/rewards", strip="stripped" in way, tell="told" in way) as url:
        yield url


def test_the_page_and_its_files_are_found_below_the_path(address: str) -> None:
    with httpx2.Client(timeout=patience(20), trust_env=False) as http:
        for page in (address, address + "/"):
            shown = http.get(page)
            assert shown.status_code == 200
            links = re.findall(r'(?:src|href)="([^"#]+)"', shown.text)
            assert len(links) > 6
            for link in links:
                assert http.get(urljoin(page, link)).status_code == 200, link


def test_the_docs_and_the_openapi_document_know_the_path(address: str) -> None:
    with httpx2.Client(timeout=patience(20), trust_env=False) as http:
        for page in ("/docs", "/redoc"):
            assert "'/rewards/openapi.json'" in http.get(address + page).text.replace('"', "'")
        assert http.get(address + "/openapi.json").json()["servers"] == [{"url": "/rewards"}]


def test_a_location_leads_to_the_job(address: str) -> None:
    with httpx2.Client(timeout=patience(20), trust_env=False) as http:
        for path in ("/v1/jobs", "/v1/label"):
            answer = http.post(address + path, json={"items": [ITEM]})
            location = answer.headers["location"]
            assert location.startswith("/rewards/v1/jobs/")
            assert http.get(urljoin(address, location)).json()["id"] in answer.text
        missing = http.get(address + "/v1/jobs/none")
        assert (missing.status_code, missing.json()["instance"]) == (404, "/rewards/v1/jobs/none")


def test_the_client_works_below_the_path(address: str) -> None:
    with Client(address, timeout=patience(20)) as client:
        assert client.health() == "ok"
        assert client.label([ITEM]).results[0].rewards
        job = client.jobs.create([ITEM] * 3)
        assert len(list(client.jobs.results(job.id))) == 3
        assert job.id in [listed.id for listed in client.jobs.list(5)]
        events = httpx2.get(f"{address}/v1/jobs/{job.id}/events", timeout=patience(20), trust_env=False)
        assert f'"id":"{job.id}"' in events.text
        client.jobs.delete(job.id)


def app(**settings: Any) -> TestClient:
    """The application without a store: enough for what needs none."""
    return TestClient(
        create_app(ServiceSettings(host="127.0.0.1", **settings), "redis://127.0.0.1:1"), "http://localhost"
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        '/x"><script>alert(1)</script>',
        "/x');alert(1)//",
        "/../..",
        "/a/../b",
        "/%2f%2fevil.example",
        "/a b",
        "/a\tb",
        "/é",
        "/" + "a" * 300,
        "/v1",
        "/web/x",
        "rewards",
    ],
)
def test_a_prefix_that_is_no_path_is_ignored(hostile: str) -> None:
    client = app()
    headers = [(b"x-forwarded-prefix", hostile.encode("latin-1"))]
    for path in ("/", "/docs", "/openapi.json"):
        plain, attacked = client.get(path), client.get(path, headers=headers)
        assert (attacked.status_code, attacked.text) == (plain.status_code, plain.text)
    assert client.get("/nothing", headers=headers).json()["instance"] == "/nothing"


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        (["/a"], "/a"),
        (["/a/"], "/a"),
        (["/a/b.c_d~e-f"], "/a/b.c_d~e-f"),
        (["/outer", "/inner"], "/outer/inner"),
        (["/outer, /inner"], "/outer/inner"),
        (["/"], ""),
        ([""], ""),
    ],
)
def test_a_prefix_of_one_proxy_or_of_several_is_used(given: list[str], prefix: str) -> None:
    headers = [("x-forwarded-prefix", value) for value in given]
    answer = app().get("/docs", headers=headers)
    assert f"'{prefix}/openapi.json'" in answer.text


def test_the_setting_comes_before_what_a_request_says() -> None:
    answer = app(root_path="/rewards").get("/docs", headers={"x-forwarded-prefix": "/other"})
    assert "'/rewards/openapi.json'" in answer.text


def test_no_request_changes_the_openapi_document_of_the_next() -> None:
    client = app()
    assert client.get("/openapi.json", headers={"x-forwarded-prefix": "/a"}).json()["servers"] == [{"url": "/a"}]
    assert "servers" not in client.get("/openapi.json").json()


@pytest.mark.parametrize(
    "wrong", ["rewards", "/a//b", "//host", "/a/../b", "/v1", "/docs/x", "/inference", "http://h/a", "/a?b"]
)
def test_a_setting_that_is_no_path_stops_the_start(wrong: str) -> None:
    with pytest.raises(BadInput, match="TOKENREWARD_ROOT_PATH: Should"):
        ServiceSettings.read(root_path=wrong)


def test_only_whole_segments_are_taken_off(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["root_path"], scope["path"]))

    async def call(path: str) -> None:
        await PathPrefix(inner, "/rewards")({"type": "http", "path": path, "headers": []}, None, None)  # type: ignore[arg-type]

    import asyncio

    for path in ("/rewards", "/rewards/", "/rewards/v1/jobs", "/rewardsX/v1", "/v1/jobs"):
        asyncio.run(call(path))
    assert {root for root, _ in seen} == {"/rewards"}
    assert [path for _, path in seen] == [
        "/rewards/",
        "/rewards/",
        "/rewards/v1/jobs",
        "/rewards/rewardsX/v1",
        "/rewards/v1/jobs",
    ]
