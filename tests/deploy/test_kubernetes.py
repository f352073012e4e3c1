"""The Helm chart and the kustomize base: rendered by the real `helm`, validated by Kubernetes' own schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.chart import CHART, ROOT, RenderError, helm, objects
from tests.deploy.composefile import services
from tests.deploy.kustomize import base
from tokenreward.environment import PREFIX, SETTINGS
from tokenreward_service.monitoring import metrics

pytestmark = pytest.mark.skipif(helm() is None, reason="NOT TESTED: the Helm chart; no helm for this platform")

KUBERNETES = "1.33.0"
#: Objects of other projects' operators, of which there is no schema here.
FOREIGN = {"ScaledObject", "PodMonitor"}
SETTINGS_OF = {
    "defaults": [],
    "everything": [
        "networkPolicy.apiFrom[0].namespaceSelector.matchLabels.team=lab",
        "ingress.enabled=true",
        "ingress.path=/rewards",
        "ingress.className=nginx",
        "autoscaling.enabled=true",
        "podMonitor.enabled=true",
        "models[0].name=demo",
        "models[0].model=demo",
        "models[0].kind=cpu",
        "models[1].name=llama-3.1-8b",
        "models[1].model=/models/llama",
        "models[1].kind=gpu",
        "models[1].gpus=2",
        "models[1].replicas=4",
        "models[1].cache.accessMode=ReadWriteMany",
        "models[1].settings.TOKENREWARD_TENSOR_PARALLEL=2",
    ],
    "own store": ["valkey.enabled=false", "networkPolicy.enabled=false", "podDisruptionBudget.enabled=false"],
}


@pytest.mark.parametrize("values", SETTINGS_OF.values(), ids=list(SETTINGS_OF))
def test_every_object_is_valid_by_kubernetes_own_schema(values: list[str]) -> None:
    for (kind, name), content in objects("tr", *values).items():
        if kind not in FOREIGN:
            kubernetes_validate.validate(content, KUBERNETES, strict=True)
        assert len(name) <= 63
        assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name), name


def test_the_schema_refuses_what_is_misspelt() -> None:
    deployment = objects()["Deployment", "tr-tokenreward-api"]
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("api.replcas=2", "replcas"),
        ("models[0].kind=tpu", "kind"),
        ("models[0].settings.MAX_TOKENS=5", "MAX_TOKENS"),
        ("ingress.path=/a//b", "path"),
        ("valkey.image=valkey", "image"),
        ("models[0].replicas=3", "ReadWriteMany"),
        ("podMonitor.enabled=true", "apiFrom"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value: str, complaint: str) -> None:
    whole = [f"models[0].{field}" for field in ("name=m", "model=m", "kind=gpu")] if value.startswith("models") else []
    with pytest.raises(RenderError, match=complaint):
        objects("tr", *whole, value)


def test_every_value_is_in_the_schema_and_every_setting_is_one_that_exists() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    assert set(yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))) <= set(schema["properties"])
    for content in objects("tr", *SETTINGS_OF["everything"]).values():
        for container in containers(content):
            ours = [entry["name"] for entry in container["env"] if entry["name"].startswith(PREFIX)]
            assert [name for name in ours if name.removeprefix(PREFIX).lower() not in SETTINGS] == []


def test_containers_have_no_more_rights_than_those_of_the_compose_file() -> None:
    users = {"api": "api", "valkey": "redis", "worker": "worker-0"}
    composed = services()
    for (kind, name), content in objects().items():
        for container in containers(content):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"], name
            assert context["capabilities"] == {"drop": ["ALL"]}
            pod = content["spec"]["template"]["spec"]
            assert pod["automountServiceAccountToken"] is False
            user = int(composed[users[container["name"]]].content["user"].split(":")[0])
            assert pod["securityContext"]["runAsUser"] == user, (kind, name)


def test_the_store_runs_with_the_arguments_of_the_compose_file() -> None:
    (store,) = containers(objects()["StatefulSet", "tr-tokenreward-valkey"])
    composed = list(services()["redis"].content["command"])
    composed[composed.index("--maxmemory") + 1] = "3gb"
    assert [*store["command"], *store["args"]] == composed
    assert store["image"] == services()["redis"].content["image"]


def test_the_images_are_those_that_the_compose_file_builds() -> None:
    built = {service.content["image"].split(":")[0] for service in services().values() if "build" in service.content}
    rendered = objects("images", *SETTINGS_OF["everything"], "image.registry=registry.example.org/lab", "image.tag=v9")
    used = {container["image"] for content in rendered.values() for container in containers(content)}
    ours = {image for image in used if "tokenreward" in image}
    assert ours
    assert all(image.startswith("registry.example.org/lab/") and image.endswith(":v9") for image in ours)
    assert {image.split("/")[-1].split(":")[0] for image in ours} <= built


def test_the_declared_models_and_the_workers_are_the_same() -> None:
    rendered = objects("tr", *SETTINGS_OF["everything"])
    (api,) = containers(rendered["Deployment", "tr-tokenreward-api"])
    declared = environment(api)["TOKENREWARD_DECLARED_MODELS"].split(",")
    served = [
        environment(container)["TOKENREWARD_MODEL_NAME"]
        for content in rendered.values()
        for container in containers(content)
        if container["name"] == "worker"
    ]
    assert declared == served == ["demo", "llama-3.1-8b"]
    assert environment(api)["TOKENREWARD_ROOT_PATH"] == "/rewards"


def test_a_worker_has_its_gpus_and_longer_to_stop_than_a_shard_may_take() -> None:
    deployment = objects("tr", *SETTINGS_OF["everything"])["Deployment", "tr-tokenreward-worker-llama-3-1-8b"]
    (worker,) = containers(deployment)
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "2"
    grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= int(environment(worker)["TOKENREWARD_STOP_SECONDS"]) + 10


def test_no_probe_restarts_a_worker_because_the_store_is_away() -> None:
    (worker,) = containers(
        objects("tr", *SETTINGS_OF["everything"])["Deployment", "tr-tokenreward-worker-llama-3-1-8b"]
    )
    assert {name for name in worker if name.endswith("Probe")} == {"startupProbe"}


def test_scaling_asks_for_metrics_that_the_service_has() -> None:
    scaled = objects("tr", *SETTINGS_OF["everything"])["ScaledObject", "tr-tokenreward-worker-demo"]["spec"]
    assert scaled["minReplicaCount"] == 0
    query = scaled["triggers"][0]["metadata"]["query"]
    source = Path(metrics.__file__).read_text("utf-8")
    asked = re.findall(r"tokenreward_(\w+)\{model=\"demo\"", query)
    assert asked == ["queue_shards", "claimed_shards"]
    assert all(f'"{name}"' in source for name in asked)


def test_the_network_lets_nobody_but_ours_to_the_store() -> None:
    rendered = objects()
    policy = rendered["NetworkPolicy", "tr-tokenreward-valkey"]["spec"]
    for name in ("api", "worker-qwen3-8b"):
        labels = rendered["Deployment", f"tr-tokenreward-{name}"]["spec"]["template"]["metadata"]["labels"]
        assert policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["egress"] == []


def test_an_api_that_asks_for_keys_waits_for_the_first_one_and_another_does_not() -> None:
    (waiting,) = objects()["Deployment", "tr-tokenreward-api"]["spec"]["template"]["spec"]["initContainers"]
    assert "tokenreward keys list" in waiting["command"][-1]
    open_ = objects("tr", "api.insecure=true")["Deployment", "tr-tokenreward-api"]["spec"]["template"]["spec"]
    assert "initContainers" not in open_


def test_secrets_are_named_and_never_written() -> None:
    rendered = objects()
    assert not [key for key in rendered if key[0] == "Secret"]
    mounted = {
        volume["secret"]["secretName"]
        for content in rendered.values()
        if containers(content)
        for volume in content["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    }
    assert mounted == {"tokenreward-api", "tokenreward-worker", "tokenreward-valkey"}


def test_the_kustomize_base_is_the_chart_with_its_defaults() -> None:
    assert (ROOT / "deploy/kustomize/base/tokenreward.yaml").read_text("utf-8") == base()
    for file in (ROOT / "deploy/kustomize").glob("*/kustomization.yaml"):
        content = yaml.safe_load(file.read_text("utf-8"))
        for resource in content["resources"]:
            assert (file.parent / resource).exists(), resource
    overlay = yaml.safe_load((ROOT / "deploy/kustomize/own-model/kustomization.yaml").read_text("utf-8"))
    named = {content["metadata"]["name"]: content for content in yaml.safe_load_all(base()) if content}
    for patch in overlay["patches"]:
        (worker,) = containers(named[patch["target"]["name"]])
        (operation,) = yaml.safe_load(patch["patch"])
        assert worker["env"][int(operation["path"].split("/")[-2])]["name"] == "TOKENREWARD_MODEL"


def containers(content: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        content.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
        if content["kind"] in ("Deployment", "StatefulSet")
        else []
    )
    return [{"env": [], **container} for container in found]


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}
