"""Adapters over HTTP: versions that are put, pinned, replaced and taken off, with a real worker."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.adapters import write_adapter
from benchmarks.harness.stack import Stack, http, running
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import wait_for
from tokenreward import AsyncClient, BadInput, Client, Rejected
from tokenreward.http.responses import only_model
from tokenreward_workers.process.supervisor import HOPELESS
from tokenreward_workers.settings import WorkerSettings

ITEMS = [{"prompt": "p", "response": "a response"}]
MODEL = "synthetic"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("adapters")
    with running(folder, TOKENREWARD_CACHE=str(folder / "cache"), TOKENREWARD_CACHE_TTL_SECONDS="0") as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.url) as client:
        yield client
        for name in {info.name for info in client.adapters.list()}:
            client.adapters.delete(name)


def scored(client: Client, name: str, **options: Any) -> list[list[float] | None]:
    answer = client.label(ITEMS, template="opposite", models={"better": name}, **options)
    return [result.rewards for result in answer.results]


def test_a_branch_is_scored_by_the_newest_version_or_by_the_one_that_is_named(client: Client, tmp_path: Path) -> None:
    versions = [write_adapter(tmp_path / "dpo", seed) for seed in (1, 2)]
    write_adapter(tmp_path / "dpo", 1)
    first = client.adapters.put("dpo", tmp_path / "dpo")
    assert (first.version, first.model, first.rank) == (versions[0], MODEL, 2)
    before = scored(client, "dpo")
    assert before == rewards(ITEMS, "opposite", versions={"better": versions[0]})
    write_adapter(tmp_path / "dpo", 2)  # the training run saves its next step where the last one was
    assert client.adapters.put("dpo", str(tmp_path / "dpo")).version == versions[1]
    assert scored(client, "dpo") == rewards(ITEMS, "opposite", versions={"better": versions[1]})
    assert scored(client, f"dpo@{versions[0]}") == before
    assert [info.version for info in client.adapters.list()] == versions[::-1]
    write_adapter(tmp_path / "dpo", 1)
    client.adapters.put("dpo", tmp_path / "dpo")
    assert client.adapters.get("dpo").version == versions[0], "what was put last is the newest"


def test_provenance_says_what_scored_which_branch(client: Client, stack: Stack, tmp_path: Path) -> None:
    version = write_adapter(tmp_path / "dpo", 3)
    client.adapters.put("policy", tmp_path / "dpo")
    answer = client.label(ITEMS, estimator="rto", include=["logprobs"])
    assert answer.provenance.template == "strong-weak"
    strong, weak = answer.provenance.models
    assert (strong.branches, strong.fingerprint.adapter, strong.fingerprint.adapter_version) == (
        ["better"],
        "policy",
        version,
    )
    assert (weak.branches, weak.fingerprint, weak.fingerprint_digest) == (
        ["worse"],
        answer.provenance.fingerprint,
        answer.provenance.fingerprint_digest,
    )
    assert strong.fingerprint_digest not in (weak.fingerprint_digest, strong.fingerprint.base.digest)
    (result,) = answer.results
    assert result.logprobs is not None
    assert result.logprobs["better"] != result.logprobs["worse"]
    assert client.label(ITEMS).provenance.models == []
    wait_for(lambda: client.adapters.get("policy").workers, 10, "the worker's record")
    (worker,) = http.get(stack.url + "/v1/workers").json()["workers"]
    assert client.adapters.get("policy").workers == [worker["id"]]
    assert version in worker["adapters"]


def test_the_name_that_a_template_has_for_a_model_can_stand_for_another(client: Client, tmp_path: Path) -> None:
    version = write_adapter(tmp_path / "step", 4)
    client.adapters.put("step-100", tmp_path / "step")
    item = ITEMS[0] | {"context": {"privilege": "It is 4."}}
    answer = client.label([item], template="self", estimator="privileged", models={"policy": "step-100"})
    (use,) = answer.provenance.models
    assert (use.branches, use.fingerprint.adapter_version) == (["privileged", "plain"], version)
    versions = {"privileged": version, "plain": version}
    assert [answer.results[0].rewards] == rewards([item], "self", "privileged", versions=versions)


def test_an_accepted_job_is_scored_with_its_version_although_it_was_deleted_meanwhile(
    client: Client, stack: Stack, tmp_path: Path
) -> None:
    version = write_adapter(tmp_path / "dpo", 5)
    client.adapters.put("dpo", tmp_path / "dpo")
    (worker,) = stack.workers
    worker.send(signal.SIGSTOP)
    try:
        job = client.jobs.create(ITEMS, template="opposite", models={"better": "dpo"})
        client.adapters.delete("dpo")
        write_adapter(tmp_path / "dpo", 6)
    finally:
        worker.send(signal.SIGCONT)
    assert [result.rewards for result in client.jobs.results(job.id)] == rewards(
        ITEMS, "opposite", versions={"better": version}
    )
    with pytest.raises(Rejected, match="neither an adapter of synthetic"):
        scored(client, "dpo")


def test_a_version_that_nobody_can_load_fails_its_items_with_the_reason(
    client: Client, stack: Stack, tmp_path: Path
) -> None:
    version = write_adapter(tmp_path / "gone", 7)
    client.adapters.put("gone", tmp_path / "gone")
    kept = Path(stack.environment["TOKENREWARD_CACHE"]) / "adapters" / version
    (kept / "adapter_model.safetensors").unlink()
    write_adapter(tmp_path / "gone", 8)
    (result,) = client.label(ITEMS, template="opposite", models={"better": f"gone@{version}"}).results
    assert result.error is not None
    assert result.error.code == "adapter_failed"
    assert f"{tmp_path / 'gone'} holds version" in result.error.message
    assert client.label(ITEMS).results[0].rewards, "the worker goes on"


def test_what_is_wrong_with_a_request_is_said(client: Client, stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Rejected, match=f"{tmp_path / 'empty'} holds no adapter"):
        client.adapters.put("dpo", tmp_path / "empty")
    with pytest.raises(Rejected, match="no such directory"):
        client.adapters.put("dpo", "nowhere/at/all")
    with pytest.raises(Rejected, match="unknown model 'other'"):
        client.adapters.put("dpo", tmp_path / "empty", model="other")
    with pytest.raises(Rejected, match="no adapter 'dpo'"):
        client.adapters.get("dpo")
    with pytest.raises(Rejected, match="'plan' is neither a branch that is scored nor its model: better, worse"):
        client.label(ITEMS, models={"plan": "dpo"})
    refused = http.post(stack.url + "/v1/label", json={"items": ITEMS, "models": {"better": "nobody"}}).json()
    assert refused["status"] == 422
    assert refused["errors"][0]["pointer"] == "/template/branches/better/model"
    assert http.put(f"{stack.url}/v1/models/{MODEL}/adapters/a@b", json={"source": "x"}).status_code == 422
    ndjson = {"headers": {"content-type": "application/x-ndjson"}, "content": '{"prompt": "p", "response": "r"}'}
    assert http.post(stack.url + "/v1/jobs?models=nonsense", **ndjson).json()["errors"][0]["pointer"] == "/models"


@pytest.mark.parametrize("name", ["other", "org/other", "a%0Ab", "%0A", "a%2Fb%E2%80%A8"])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/dpo"), ("PUT", "/dpo"), ("DELETE", "/dpo")])
def test_whatever_a_model_is_called_an_unknown_one_is_refused_as_such(
    stack: Stack, name: str, method: str, path: str
) -> None:
    url = f"{stack.url}/v1/models/{name}/adapters{path}"
    answer = http.request(method, url, json={"source": "/nowhere"} if method == "PUT" else None)
    assert answer.status_code == 422, answer.text
    assert "unknown model" in answer.json()["detail"]


def test_the_async_client_does_the_same(stack: Stack, client: Client, tmp_path: Path) -> None:
    version = write_adapter(tmp_path / "dpo", 9)

    async def main() -> None:
        async with AsyncClient(stack.url) as twin:
            put = await twin.adapters.put("dpo", tmp_path / "dpo")
            assert (await twin.adapters.get(f"dpo@{version}")).version == put.version == version
            assert [info.name for info in await twin.adapters.list(model=MODEL)] == ["dpo"]
            answer = await twin.label(ITEMS, template="opposite", models={"better": "dpo"})
            assert [answer.results[0].rewards] == rewards(ITEMS, "opposite", versions={"better": version})
            await twin.adapters.delete("dpo")
            assert await twin.adapters.list() == []

    asyncio.run(main())


def test_a_client_asks_which_model_is_meant_where_several_are_served() -> None:
    with pytest.raises(BadInput, match="name the model that the adapter belongs to; served: none"):
        only_model([])


def test_adapters_of_the_settings_are_there_from_the_start_and_a_wrong_one_ends_the_worker(tmp_path: Path) -> None:
    versions = {name: write_adapter(tmp_path / name, seed) for seed, name in enumerate(("dpo", "sft"))}
    given = ",".join(f"{name}={tmp_path / name}" for name in versions)
    cache = {"TOKENREWARD_CACHE": str(tmp_path / "cache")}
    with Stack(tmp_path, cache) as stack:
        stack.start_api()
        wrong = stack.start_worker(TOKENREWARD_ADAPTERS=f"dpo={tmp_path / 'nowhere'}")
        assert wrong.wait() == HOPELESS
        assert "nowhere" in wrong.output().splitlines()[-1]
        none = stack.start_worker(TOKENREWARD_MAX_ADAPTERS="0")
        stack.wait_ready()
        with Client(stack.url) as client:
            with pytest.raises(Rejected, match="take adapters: start them with --max-adapters"):
                client.adapters.put("dpo", tmp_path / "dpo")
            none.stop()
            stack.start_worker("--adapter", given.split(",")[0], "--adapter", given.split(",")[1], supervised=True)
            stack.wait_ready()
            assert {info.name: info.version for info in client.adapters.list()} == versions
            assert scored(client, "sft") == rewards(ITEMS, "opposite", versions={"better": versions["sft"]})


@pytest.mark.parametrize("text", ["dpo", "dpo=", "=x", "a b=x", "dpo@1=x", "ok=x,bad"])
def test_a_setting_that_names_no_adapter_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENREWARD_ADAPTERS", text)
    with pytest.raises(BadInput, match="TOKENREWARD_ADAPTERS: give adapters as NAME=FOLDER"):
        WorkerSettings.read()
