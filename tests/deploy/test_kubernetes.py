"""The manifests, rendered by kubectl as for a cluster, hold to the published schemas and to the service.

kubernetes-validate carries the schemas of Kubernetes itself. KServe's InferenceService is another's kind, without a
schema here: only its volume and protocol are held to the rest.
"""

import os
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from serve.app import create_app
from serve.lifecycle.gallery_store import check_stores
from serve.settings import Settings
from tests.deploy.test_dockerfile import settings_named

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
KUBECTL = Path(sys.executable).with_name("kubectl")
OLDEST = "1.31"  # of the versions that the manifests are for: `sleep` before the stop, ReadWriteOncePod
SERVICES = ["embedded", "scaled"]
COMPONENTS = ["gpu", "bundle-volume"]
STORES = "scaled+stores"
OPEN_CLIENT = {"ear-teacher/client": "true"}  # of docs/kubernetes.md


def render(folder):
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Overlay name -> its documents; each service also with every component, as `embedded+gpu+bundle-volume`."""
    found = {name: render(MANIFESTS / name) for name in [*SERVICES, "triton", "kserve"]}
    for name, components in [*((name, COMPONENTS) for name in SERVICES), ("scaled", ["stores"])]:
        folder = tmp_path_factory.mktemp(name)
        here = os.path.relpath(MANIFESTS, folder)  # kustomize takes relative paths only
        overlay = {"resources": [f"{here}/{name}"], "components": [f"{here}/{component}" for component in components]}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        found["+".join([name, *components])] = render(folder)
    return found


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def pods(rendered):
    return [
        (name, document["spec"]["template"]["spec"])
        for name, documents in rendered.items()
        for document in of_kind(documents, "Deployment")
    ]


def services(rendered):
    """Overlay name -> documents of those that run the service itself."""
    return [(name, documents) for name, documents in rendered.items() if name not in ("triton", "kserve")]


def pod_labels(documents):
    (deployment,) = of_kind(documents, "Deployment")
    return deployment["spec"]["template"]["metadata"]["labels"]


def selects(selector, labels):
    """As Kubernetes reads a label selector: every pair must be there, and an empty one takes any pod."""
    assert set(selector) <= {"matchLabels"}, f"this test reads matchLabels only, not {selector}"
    return selector.get("matchLabels", {}).items() <= labels.items()


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_document_holds_to_the_published_schemas(rendered, version):
    validated = set()
    for document in [document for documents in rendered.values() for document in documents]:
        if document["apiVersion"] != "serving.kserve.io/v1beta1":
            kubernetes_validate.validate(document, version, strict=True)
            validated.add(document["kind"])
    assert validated >= {
        *("Deployment", "Service", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget"),
        *("PersistentVolumeClaim", "HorizontalPodAutoscaler"),
    }


def test_the_schemas_would_refuse_a_misspelt_field(rendered):
    (broken,) = of_kind(rendered["embedded"], "Deployment")
    broken = {**broken, "spec": {**broken["spec"], "replicsa": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, OLDEST, strict=True)


def test_every_pod_is_unprivileged_on_a_read_only_root(rendered):
    for name, pod in pods(rendered):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"], name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert {"requests", "limits"} <= set(container["resources"])


def test_every_mount_has_its_volume(rendered):
    for name, pod in pods(rendered):
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for box in pod["containers"] for mount in box["volumeMounts"]} <= volumes, name
    claims = {"embedded": {"ear-teacher-gallery"}, "kserve": {"ear-teacher-models"}, "triton": {"ear-teacher-models"}}
    for name, expected in claims.items():
        assert {claim["metadata"]["name"] for claim in of_kind(rendered[name], "PersistentVolumeClaim")} == expected


def test_the_probes_ask_routes_that_the_service_has(rendered):
    routes = create_app(Settings(bundle="x")).openapi()["paths"]
    for name in SERVICES:
        (box,) = of_kind(rendered[name], "Deployment")[0]["spec"]["template"]["spec"]["containers"]
        asked = {box[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert asked == {"/health/ready", "/health/live"}
        assert asked <= set(routes)


def test_every_setting_is_one_that_the_service_knows(rendered):
    text = "".join(path.read_text() for path in MANIFESTS.rglob("*.yaml"))
    keys = [key for document in of_kind(rendered["embedded"], "ConfigMap") for key in document["data"]]
    assert settings_named(text) <= set(Settings.model_fields)
    assert "EAR_TEACHER_HOST" in keys


def test_the_stores_are_named_by_settings_that_go_together(tmp_path):
    examples = yaml.safe_load_all((MANIFESTS / "secret.example.yaml").read_text())
    (stores,) = [one["stringData"] for one in examples if one["metadata"]["name"] == "ear-teacher-stores"]
    given = {name.removeprefix("EAR_TEACHER_").lower(): value for name, value in stores.items()}
    assert set(given) == {"database_url", "milvus_uri", "milvus_token", "audit_key"}
    check_stores(Settings(bundle=tmp_path, **given))


def test_the_drain_fits_into_the_grace_period(rendered):
    (settings,) = of_kind(rendered["embedded"], "ConfigMap")
    (_, pod) = pods(rendered)[0]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + float(settings["data"]["EAR_TEACHER_DRAIN_S"]) + 10 <= pod["terminationGracePeriodSeconds"]


def test_a_service_named_ear_teacher_does_not_become_its_port(rendered):
    for name in SERVICES:
        assert of_kind(rendered[name], "Service")[0]["metadata"]["name"] == "ear-teacher"
        (deployment,) = of_kind(rendered[name], "Deployment")
        assert deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_an_embedded_gallery_has_one_owner(rendered):
    (deployment,) = of_kind(rendered["embedded"], "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert of_kind(rendered["embedded"], "HorizontalPodAutoscaler") == []


def test_a_scaled_service_leaves_its_number_to_the_autoscaler(rendered):
    (deployment,) = of_kind(rendered["scaled"], "Deployment")
    (scaler,) = of_kind(rendered["scaled"], "HorizontalPodAutoscaler")
    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert of_kind(rendered["scaled"], "PersistentVolumeClaim") == []


def test_a_stateless_replica_opens_no_gallery(rendered):
    (deployment,) = of_kind(rendered["scaled"], "Deployment")
    (box,) = deployment["spec"]["template"]["spec"]["containers"]
    assert box["command"] == ["env", "--unset=EAR_TEACHER_GALLERY", "ear-teacher", "serve"]
    assert "EAR_TEACHER_GALLERY" not in {setting["name"] for setting in box["env"]}


def test_the_autoscalers_metric_is_the_one_that_the_adapter_offers(rendered):
    (scaler,) = of_kind(rendered["scaled"], "HorizontalPodAutoscaler")
    asked = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    rules = yaml.safe_load((MANIFESTS / "prometheus-adapter.values.yaml").read_text())["rules"]["custom"]
    assert asked in {rule["name"]["as"] for rule in rules}


def test_no_key_is_in_what_is_applied(rendered):
    for name, documents in rendered.items():
        assert of_kind(documents, "Secret") == [], name
    for example in yaml.safe_load_all((MANIFESTS / "secret.example.yaml").read_text()):
        kubernetes_validate.validate(example, OLDEST, strict=True)


def test_every_secret_that_a_pod_needs_has_its_example(rendered):
    needed = {
        source["secretRef"]["name"]
        for name, pod in pods(rendered)
        for box in pod["containers"]
        for source in box.get("envFrom", [])
        if "secretRef" in source
    }
    examples = yaml.safe_load_all((MANIFESTS / "secret.example.yaml").read_text())
    assert needed == {example["metadata"]["name"] for example in examples}


def test_the_policies_name_who_may_talk(rendered):
    (closed,) = of_kind(rendered["embedded"], "NetworkPolicy")
    assert closed["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert closed["spec"].get("egress", []) == []
    assert of_kind(rendered["scaled"], "NetworkPolicy") == [closed]
    (scaled,) = of_kind(rendered[STORES], "NetworkPolicy")
    ports = {port["port"] for rule in scaled["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 5432, 19530}


def test_the_policy_covers_the_services_pods_and_no_others(rendered):
    for name, documents in services(rendered):
        (policy,) = of_kind(documents, "NetworkPolicy")
        labels = pod_labels(documents)
        assert selects(policy["spec"]["podSelector"], labels), name
        for other in [OPEN_CLIENT, {"app.kubernetes.io/name": "postgresql"}, {"app.kubernetes.io/name": "milvus"}, {}]:
            assert not selects(policy["spec"]["podSelector"], other), f"{name} covers {other}"
        assert not selects(policy["spec"]["podSelector"], pod_labels(rendered["triton"]))


def test_the_clients_label_alone_lets_a_pod_in(rendered):
    for name, documents in services(rendered):
        (policy,) = of_kind(documents, "NetworkPolicy")
        (rule,) = policy["spec"]["ingress"]
        let_in = [one["podSelector"] for one in rule["from"] if "podSelector" in one]
        assert [one for one in let_in if selects(one, OPEN_CLIENT)] == let_in != [], name
        assert not any(selects(one, pod_labels(documents)) for one in let_in)


def test_service_deployment_and_budget_select_the_pods_that_the_deployment_makes(rendered):
    for name, documents in services(rendered):
        labels = pod_labels(documents)
        (service,) = of_kind(documents, "Service")
        (deployment,) = of_kind(documents, "Deployment")
        (budget,) = of_kind(documents, "PodDisruptionBudget")
        chosen = {"matchLabels": service["spec"]["selector"]}
        for selector in (chosen, deployment["spec"]["selector"], budget["spec"].get("selector", {})):
            assert selects(selector, labels), f"{name}: {selector} leaves {labels} out"
            assert not selects(selector, pod_labels(rendered["triton"])), name
            assert not selects(selector, OPEN_CLIENT), name
        for spread in deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert spread["labelSelector"] == deployment["spec"]["selector"]


def test_triton_is_selected_by_its_own_service(rendered):
    (service,) = of_kind(rendered["triton"], "Service")
    (deployment,) = of_kind(rendered["triton"], "Deployment")
    labels = pod_labels(rendered["triton"])
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == labels


def test_a_gpu_is_asked_for_where_the_gpu_image_runs(rendered):
    for name in SERVICES:
        (deployment,) = of_kind(rendered["+".join([name, *COMPONENTS])], "Deployment")
        (box,) = deployment["spec"]["template"]["spec"]["containers"]
        assert box["image"].endswith("-gpu")
        assert box["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_kserve_reads_the_volume_that_triton_reads(rendered):
    (service,) = of_kind(rendered["kserve"], "InferenceService")
    assert service["spec"]["predictor"]["model"]["storageUri"] == "pvc://ear-teacher-models/"
    assert service["spec"]["predictor"]["model"]["protocolVersion"] == "v2"
