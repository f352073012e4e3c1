"""The compose file: valid by the specification, and what an operator may rely on in every service of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import compose_spec
import jsonschema
import pytest
import yaml

from tests.deploy.composefile import FILE, ROOT, Service, raw, resolved, seconds, services
from tokenreward_workers.settings import WorkerSettings

SERVICES = services()
#: Runs once before the others.
ONE_SHOT = "secrets"
WORKERS = [service for name, service in SERVICES.items() if name.startswith("worker-")]


def each(found: list[Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", found, ids=lambda service: service.name)


everything = each(list(SERVICES.values()))
lasting = each([service for name, service in SERVICES.items() if name != ONE_SHOT])


def test_the_file_validates_against_the_compose_specification() -> None:
    # The specification's own schema, as docker-compose 1.29.2 ships it (Apache-2.0). `name` came to it later.
    schema = json.loads((Path(__file__).parent / "compose_spec.json").read_text("utf-8"))
    schema["properties"]["name"] = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"}
    validator = jsonschema.Draft7Validator(schema)
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(raw())] == []
    broken = raw()
    broken["services"]["api"]["restrat"] = "no"
    assert not validator.is_valid(broken), "a schema that takes anything proves nothing"


def test_every_value_is_one_that_the_specification_knows() -> None:
    # A second reading, by types: durations, conditions, image tags, ports.
    text = yaml.safe_dump(resolved())
    assert set(compose_spec.PyCompose.from_yaml(text).service_names()) == set(SERVICES)
    with pytest.raises(ValueError, match="stop_grace_period"):
        compose_spec.PyCompose.from_yaml(text.replace("stop_grace_period: 90s", "stop_grace_period: ninety"))


@pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0,
    reason="no `docker compose` here",
)
def test_docker_compose_itself_takes_it() -> None:
    profiles = [part for name in ("cpu", "gpu8", "monitoring") for part in ("--profile", name)]
    command = ["docker", "compose", "-f", str(FILE), *profiles, "config", "--quiet"]
    assert subprocess.run(command, check=False, capture_output=True, text=True).stderr == ""


def test_everything_that_is_named_is_defined() -> None:
    content = resolved()
    for service in SERVICES.values():
        assert set(service.needs) <= set(SERVICES)
        assert set(service.content.get("networks", [])) <= set(content["networks"])
        for source in service.volumes.values():
            assert source in content["volumes"] or (ROOT / source).exists(), source


@everything
def test_a_service_runs_with_no_more_than_it_needs(service: Service) -> None:
    content = service.content
    assert content["read_only"] is True
    assert content["cap_drop"] == ["ALL"]
    assert content["security_opt"] == ["no-new-privileges:true"]
    assert not content.get("privileged")
    if service.name == ONE_SHOT:
        assert content["network_mode"] == "none", "the only one that is root"
    else:
        assert re.fullmatch(r"[1-9]\d*:\d+", content["user"]), "a number, so that it holds whatever the image says"


@everything
def test_images_are_pinned(service: Service) -> None:
    images = [service.content["image"]] + ([service.image.image] if service.image else [])
    for image in images:
        tag = image.rpartition(":")[2]
        assert re.match(r"v?\d+\.\d+\.\d+", tag), image


def test_our_images_carry_the_version_of_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    tags = {service.content["image"].rpartition(":")[2] for service in SERVICES.values() if service.image}
    assert tags == {project["version"]}


def test_the_pages_for_operators_name_what_the_file_has() -> None:
    page, readme = ((ROOT / name).read_text("utf-8") for name in ("docs/operations.md", "README.md"))
    assert "docker compose --profile cpu up" in readme
    profiles = {profile for service in SERVICES.values() for profile in service.profiles}
    text = FILE.read_text("utf-8")
    assert set(re.findall(r"--profile (\w+)", page + readme + text)) <= profiles
    table = page.partition("| name | default | what it says |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`([A-Z_]+)`", row.partition(" | ")[0])}
    assert named == set(re.findall(r"\$\{([A-Z_]+):-", text))


@lasting
def test_a_service_comes_back_and_says_how_it_is(service: Service) -> None:
    assert service.content["restart"] == "unless-stopped"
    assert service.health
    assert seconds(service.content["stop_grace_period"]) >= 30


@everything
def test_ports_are_published_on_this_host_only(service: Service) -> None:
    for port in service.content.get("ports", []):
        assert port.startswith("127.0.0.1:"), port


def test_redis_is_reached_by_the_api_and_the_workers_only() -> None:
    inside = {name for name, service in SERVICES.items() if "store" in service.content.get("networks", [])}
    assert inside == {"redis", "api", *(worker.name for worker in WORKERS)}
    assert resolved()["networks"]["store"] == {"internal": True}
    assert "ports" not in SERVICES["redis"].content


def test_redis_loses_nothing_that_was_accepted() -> None:
    command = " ".join(SERVICES["redis"].command)
    for option in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction", "--dir /data"):
        assert option in command
    assert SERVICES["redis"].volumes["/data"] == "redis-data"


@each(WORKERS)
def test_a_worker_is_given_longer_to_stop_than_a_shard_may_take(service: Service) -> None:
    configured = float(service.environment["TOKENREWARD_STOP_SECONDS"])
    assert configured == WorkerSettings.model_fields["stop_seconds"].default
    # The supervisor waits ten seconds longer than its worker.
    assert seconds(service.content["stop_grace_period"]) > configured + 10


@each(WORKERS)
def test_a_worker_keeps_its_models_on_a_volume(service: Service) -> None:
    assert service.volumes["/models"] == "models"
    caches = ["TOKENREWARD_CACHE", "HF_HOME", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR"]
    for name in caches:
        assert service.environment[name].startswith("/models/"), name


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_profile_starts_one_worker_on_each_of_its_gpus(count: int) -> None:
    started = [s for name, s in services(f"gpu{count}").items() if name.startswith("worker-")]
    devices = [s.content["deploy"]["resources"]["reservations"]["devices"] for s in started]
    assert devices == [[{"driver": "nvidia", "device_ids": [str(n)], "capabilities": ["gpu"]}] for n in range(count)]
    assert {s.environment["TOKENREWARD_ENGINE"] for s in started} == {"vllm"}


def test_no_secret_stands_in_the_environment() -> None:
    for service in SERVICES.values():
        for name, value in service.environment.items():
            assert not re.search("PASSWORD$|_TOKEN$|API_KEY|REDIS_URL", name), (service.name, name)
            assert "@" not in value
