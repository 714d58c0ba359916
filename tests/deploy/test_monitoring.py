"""Compose, Prometheus and Grafana agree with the service: every metric that is asked for is one that it exports."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serve.settings import Settings
from tests.deploy.test_dockerfile import settings_named
from tests.serve.conftest import bundle_folder, enrol, live, png  # noqa: F401  (fixtures)

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "ear-teacher.json").read_text())
PROMETHEUS_OWN = {"up"}


def queries(panels=DASHBOARD["panels"]):
    """(title, expression) of each panel, with Grafana's variables filled in."""
    for panel in panels:
        for target in panel.get("targets", []):
            filled = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            yield panel["title"], filled


def alerts():
    groups = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    return [(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


def selectors(expression):
    """Every vector selector in a PromQL expression, parsed as Prometheus does."""
    tree = promql_parser.parse(expression)
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        children = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param", "vector_selector")]
        waiting += [child for child in [*children, *getattr(node, "args", [])] if child is not None]
    return found


def compose_config(**env):
    command = [str(Path(sys.executable).with_name("docker-compose")), "--file", str(DEPLOY / "compose.yaml")]
    env = {"PATH": "/usr/bin", **env}
    return subprocess.run([*command, "config", "--format", "json"], env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def compose():
    """compose.yaml as Docker Compose itself resolves it."""
    done = compose_config(EAR_TEACHER_API_KEY="key", GRAFANA_PASSWORD="password")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def exported(live):  # noqa: F811
    """Sample name -> label names, of a service that has embedded, enrolled, searched and decoded."""
    with httpx.Client(base_url=str(live)) as client:
        client.post("/v1/embed", content=png(1))
        client.post("/v1/reconstruct", content=png(1))
        enrol(client, 1)
        client.post("/v1/search", content=png(1))
        text = client.get("/metrics").text
    names: dict[str, set[str]] = {}
    for sample in [sample for family in text_string_to_metric_families(text) for sample in family.samples]:
        names.setdefault(sample.name, set()).update(sample.labels)
    return names


@pytest.mark.parametrize(("title", "expression"), [*queries(), *alerts()], ids=lambda value: value.split("(")[0])
def test_what_is_asked_for_is_exported(exported, title, expression):
    found = selectors(expression)
    assert found, f"{title}: {expression}"
    for selector in found:
        if selector.name in PROMETHEUS_OWN:
            continue
        assert selector.name in exported, f"{title} asks for {selector.name}, which /metrics does not show"
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= exported[selector.name] | {"instance", "job"}, f"{title}: {labels}"


def test_a_misspelt_metric_would_be_found():
    found = selectors(
        "rate(ear_teacher_no_such[1m]) / sum(up) > 0 and histogram_quantile(0.5, sum by (le) (rate(b[1m])))"
    )
    assert {selector.name for selector in found} == {"ear_teacher_no_such", "up", "b"}


def test_what_is_grouped_by_is_a_label(exported):
    labels = set().union(*exported.values()) | {"instance"}
    for title, expression in [*queries(), *alerts()]:
        for names in re.findall(r"by \(([a-z_, ]+)\)", expression):
            assert set(names.split(", ")) <= labels, title


def test_the_autoscaler_follows_a_metric_that_is_exported(exported):
    text = (DEPLOY / "kubernetes" / "scaled" / "autoscaler.yaml").read_text()
    assert yaml.safe_load(text)["spec"]["metrics"][0]["pods"]["metric"]["name"] in exported


def test_every_panel_says_what_it_shows_and_in_what_unit():
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_prometheus_scrapes_the_service_that_compose_starts(compose):
    prometheus = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    (target,) = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert name in compose["services"]
    assert int(port) == Settings.model_fields["port"].default
    assert [Path(file).name for file in prometheus["rule_files"]] == ["alerts.yaml"]


def test_every_file_that_compose_mounts_is_there(compose):
    mounts = [mount for service in compose["services"].values() for mount in service["volumes"]]
    files = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]
    assert [file for file in files if file.parent.is_relative_to(DEPLOY) and not file.is_file()] == []
    assert {mount["source"] for mount in mounts if mount["type"] == "volume"} == set(compose["volumes"])


def test_every_container_is_confined(compose):
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}, name


def test_compose_builds_the_stage_that_the_dockerfile_has(compose):
    build = compose["services"]["ear-teacher"]["build"]
    assert (Path(build["context"]), build["target"]) == (DEPLOY.parent, "cpu")


def test_compose_wants_a_key():
    done = compose_config(GRAFANA_PASSWORD="password")
    assert done.returncode != 0
    assert "EAR_TEACHER_API_KEY" in done.stderr


def test_compose_sets_only_what_the_service_knows():
    assert settings_named((DEPLOY / "compose.yaml").read_text()) <= set(Settings.model_fields)


def test_grafana_finds_its_source_and_its_dashboard(compose):
    source = yaml.safe_load((DEPLOY / "grafana" / "datasource.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    folder = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yaml").read_text())["providers"][0]["options"]["path"]
    mounts = compose["services"]["grafana"]["volumes"]
    assert f"{folder}/ear-teacher.json" in {mount["target"] for mount in mounts}
