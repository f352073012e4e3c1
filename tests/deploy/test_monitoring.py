"""Prometheus and Grafana ask for nothing that `/metrics` does not serve, and get in with the key they are given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.harness.stack import Stack, http, running
from tests.deploy.composefile import ROOT, services

MONITORING = ROOT / "service" / "monitoring"
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
#: Made by Prometheus itself for every target.
OWN = {"up"}
KEY = "metrics-key-of-a-test"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("metrics"), TOKENREWARD_METRICS_KEY=KEY) as stack:
        http.post(stack.url + "/v1/label", json={"items": [{"prompt": "p", "response": "r"}]}).raise_for_status()
        yield stack


@pytest.fixture(scope="module")
def served(stack: Stack) -> dict[str, set[str]]:
    """Sample name -> its labels, from a service that has done some work."""
    page = http.get(stack.url + "/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for path in DASHBOARDS for panel in json.loads(path.read_text("utf-8"))["panels"]]


def queries() -> list[str]:
    """Every PromQL expression of the dashboards and the alerts."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    return asked + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def metrics_in(query: str) -> set[str]:
    """Names that are looked up: no function, keyword or label."""
    bare = re.sub(r"\{[^}]*\}|\b(?:by|without|on|ignoring)\s*\([^)]*\)|\"[^\"]*\"|\[[^\]]*\]", " ", query)
    names = set(re.findall(r"[a-zA-Z_:][\w:]*(?!\w*\s*\()", bare))
    return names - {"and", "or", "unless", "by", "bool"}


@pytest.mark.parametrize("query", queries())
def test_a_query_names_metrics_and_labels_that_are_served(query: str, served: dict[str, set[str]]) -> None:
    names = metrics_in(query)
    assert names
    assert names <= set(served) | OWN
    asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query))
    for group in re.findall(r"\bby\s*\(([^)]*)\)", query):
        asked |= {label.strip() for label in group.split(",")}
    known = set().union(*(served.get(name, set()) for name in names)) | {"job"}
    assert asked <= known


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_legend_names_labels_that_the_query_keeps(panel: dict[str, Any], served: dict[str, set[str]]) -> None:
    for target in panel["targets"]:
        kept = re.findall(r"\bby\s*\(([^)]*)\)", target["expr"])
        labels = {label.strip() for label in kept[0].split(",")} if kept else set()
        if not kept:
            labels = set().union(*(served.get(name, set()) for name in metrics_in(target["expr"])))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


def test_a_metric_that_is_not_served_would_be_found(served: dict[str, set[str]]) -> None:
    assert metrics_in('sum by (a) (rate(tokenreward_nothing_total{b="c"}[5m])) > 0 or vector(0)') == {
        "tokenreward_nothing_total"
    }
    assert "tokenreward_nothing_total" not in served


def test_prometheus_scrapes_the_api_with_the_key_that_the_api_knows(stack: Stack) -> None:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    assert target == "api:8383"
    prometheus = services("monitoring")["prometheus"]
    assert prometheus.volumes[str(Path(job["authorization"]["credentials_file"]).parent)] == "secrets-prometheus"
    for file in config["rule_files"]:
        assert prometheus.volumes[file].startswith("./service/monitoring/")


def test_the_metrics_key_opens_the_metrics_and_nothing_else(stack: Stack) -> None:
    from tokenreward_service.api_keys.store import KeyFile

    shown = {"Authorization": f"Bearer {KEY}"}
    file = KeyFile(stack.redis)
    file.create("somebody", ["label"])
    try:
        from benchmarks.harness.waiting import wait_for

        wait_for(lambda: http.get(stack.url + "/metrics").status_code == 401, 5, "the lock")
        assert http.get(stack.url + "/metrics", headers=shown).status_code == 200
        assert http.get(stack.url + "/metrics", headers={"Authorization": f"Bearer {KEY}x"}).status_code == 401
        assert http.get(stack.url + "/v1/jobs", headers=shown).status_code == 401
    finally:
        file.revoke("somebody")
        file.forget_revoked()


def test_grafana_finds_prometheus_and_its_dashboard() -> None:
    (source,) = yaml.safe_load((MONITORING / "grafana/datasources/prometheus.yml").read_text("utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}
    grafana = services("monitoring")["grafana"]
    mounted = {target: source for target, source in grafana.volumes.items() if source.startswith("./")}
    (provisioning,) = mounted
    home = grafana.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / mounted[provisioning] / Path(home).relative_to(provisioning)).is_file()
    (provider,) = yaml.safe_load((MONITORING / "grafana/dashboards/tokenreward.yml").read_text("utf-8"))["providers"]
    assert provider["options"]["path"] == str(Path(home).parent)
