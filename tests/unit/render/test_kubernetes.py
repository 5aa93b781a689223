"""``extproc render kubernetes``: what the API server would say to it, and what has to be in it."""

import jsonschema
import kubernetes_validate
import pytest
import yaml

from extproc.config.load import load
from extproc.runtime import compile_runtime
from tests.objects import check, one, refused, rendered

CONFIG = """\
version: 1
providers: {local: {type: openai-compatible, base_url: "http://vllm.ml:8000/v1", keys: none}}
models: {"*": {backends: [local], timeout: 90s}}
policies:
  pii: {kind: pii, find: [email], action: redact}
  judge: {kind: moderation, service: webhook, url: "http://judge.svc:9000/", action: block}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "extproc.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def render(capsys, config):
    return lambda *more: rendered(capsys, "kubernetes", "-c", config, *more)


@pytest.mark.parametrize("options", [
    ["--guard-only"],
    ["--shadow"],
    ["--guard-only", "--callers", "istio-ingress", "--callers", "shop", "--scrapers", "monitoring"],
    ["--guard-only", "--callers", "istio-ingress", "--issuer", "mesh-ca"],
    ["--guard-only", "--callers", "istio-ingress", "--issuer", "Issuer/mesh-ca", "--tls-secret", "certified"],
    ["--guard-only", "--tls-secret", "mine"],
    ["--guard-only", "--name", "guard", "--processor-namespace", "llm", "--replicas", "30", "--drain", "5"],
    ["--tls-secret", "listener"],
    ["--issuer", "letsencrypt"],
])  # fmt: skip
def test_the_api_server_would_take_it(render, options):
    objects = render(*options)
    for each in objects:
        check(each)
    kinds = {each["kind"] for each in objects}
    assert kinds >= {"ServiceAccount", "ConfigMap", "Deployment", "Service", "NetworkPolicy", "HorizontalPodAutoscaler",
                     "PodDisruptionBudget"}  # fmt: skip
    assert "Secret" not in kinds
    assert ("Certificate" in kinds) == ("--issuer" in options)


def test_the_checks_would_find_something(render):
    deployment = one(render("--guard-only"), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        check(deployment)
    certificate = one(render("--issuer", "ca"), "Certificate")
    certificate["spec"]["dnsName"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        check(certificate)


def container(objects):
    return one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def settings(objects):
    return {each["name"]: each["value"] for each in container(objects)["env"]}


def test_the_configuration_in_it_is_one_that_the_processor_takes(render, config, tmp_path):
    objects = render("--guard-only", "--callers", "ingress", "--issuer", "ca")
    data = one(objects, "ConfigMap")["data"]
    assert data == {"extproc.yaml": CONFIG}
    folder = tmp_path / "mounted"
    folder.mkdir()
    (folder / "extproc.yaml").write_text(data["extproc.yaml"])
    environment = {name: value for name, value in settings(objects).items() if name != "EXTPROC_CONFIG"}
    runtime = compile_runtime(load(folder / "extproc.yaml", environment))
    processor = runtime.config.processor
    assert (processor.bind, processor.native, processor.workers) == ("0.0.0.0:18080", False, 1)
    assert processor.tls.client_ca == "/etc/extproc-tls/ca.crt"
    assert processor.tls.names == ["envoy.ingress.llm-extproc"]
    assert "port" in runtime.config.health.model_fields_set
    assert runtime.config.gateway.drain == 90


def test_included_files_go_where_they_were(capsys, tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "extproc.yaml").write_text("include: [conf.d/*.yaml]\nproviders: {openai: {keys: none}}\n")
    (tmp_path / "conf.d" / "a.yaml").write_text("policies: {pii: {kind: pii, find: [email]}}\n")
    objects = rendered(capsys, "kubernetes", "-c", tmp_path / "extproc.yaml", "--guard-only")
    for each in objects:
        check(each)
    volume = one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"][0]["configMap"]
    data = one(objects, "ConfigMap")["data"]
    placed = {each["path"]: data[each["key"]] for each in volume["items"]}
    assert placed == {str(each.relative_to(tmp_path)): each.read_text() for each in tmp_path.rglob("*.yaml")}


def test_a_changed_configuration_starts_new_pods(render, config):
    def digest():
        return one(render("--guard-only"), "Deployment")["spec"]["template"]["metadata"]["annotations"]

    before = digest()
    assert digest() == before
    config.write_text(CONFIG + "redaction: X\n")
    assert digest() != before


@pytest.mark.parametrize(("options", "longest"), [([], 90), (["--drain", "600"], 600), (["--drain", "0.5"], 1)])
def test_a_pod_ends_later_than_its_longest_answer(render, options, longest):
    objects = render("--guard-only", *options)
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert settings(objects)["EXTPROC_GATEWAY__DRAIN"] == f"{longest}s"
    leaves = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] > longest + leaves


def test_nothing_in_it_may_do_more_than_it_must(render):
    for options in (["--guard-only"], ["--issuer", "ca"], ["--shadow"]):
        objects = render(*options)
        pod = one(objects, "Deployment")["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        own = pod["containers"][0]["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip
        writable = {each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if not each.get("readOnly")}
        assert writable == {"/run/extproc", "/var/lib/extproc"}  # what the image writes to


def test_probes(render):
    assert container(render("--guard-only"))["readinessProbe"]["grpc"] == {"port": 18080}
    for options in (["--guard-only", "--tls-secret", "t"], ["--tls-secret", "t"]):  # Kubernetes asks no gRPC over TLS
        assert container(render(*options))["readinessProbe"]["httpGet"]["path"] == "/health/readiness"


def test_only_envoys_namespace_may_call_and_only_services_can_be_reached(render):
    policy = one(render("--guard-only", "--callers", "ingress", "--scrapers", "monitoring"), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    allowed = [
        (rule["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], rule["ports"][0]["port"])
        for rule in policy["ingress"]
    ]
    assert allowed == [("ingress", 18080), ("monitoring", 8081)]
    ports = [each["port"] for rule in policy["egress"] for each in rule["ports"]]
    assert ports == [53, 53, 9000]
    gateway = one(render("--tls-secret", "t"), "NetworkPolicy")["spec"]
    assert [each["port"] for each in gateway["egress"][1]["ports"]] == [8000, 9000]


def test_two_services_for_the_same_pods(render):
    objects = render("--guard-only")
    balanced, headless = one(objects, "Service", "llm-extproc"), one(objects, "Service", "llm-extproc-pods")
    assert "clusterIP" not in balanced["spec"]
    assert headless["spec"]["clusterIP"] == "None"
    ports = balanced["spec"]["ports"]
    assert ports == headless["spec"]["ports"] == [
        {"name": "grpc", "appProtocol": "grpc", "port": 18080, "targetPort": "grpc"}
    ]  # fmt: skip


def test_certificates_fit_each_other(render):
    objects = render("--guard-only", "--callers", "ingress", "--callers", "shop", "--issuer", "ca")
    found = {(each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"] for each in objects
             if each["kind"] == "Certificate"}  # fmt: skip
    own = found.pop(("llm-extproc", "llm-extproc"))
    volume = one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"][-1]
    assert own["secretName"] == volume["secret"]["secretName"] == "llm-extproc-tls"
    hosts = {
        f"{each['metadata']['name']}.llm-extproc.svc.cluster.local" for each in objects if each["kind"] == "Service"
    }
    assert hosts <= set(own["dnsNames"])
    names = yaml.safe_load(settings(objects)["EXTPROC_PROCESSOR__TLS__NAMES"])
    assert {(namespace, tuple(spec["dnsNames"])) for (namespace, _), spec in found.items()} == {
        ("ingress", (names[0],)), ("shop", (names[1],))
    }  # fmt: skip


def test_a_sidecar_shares_a_socket(render):
    config_map, patch = render("--guard-only", "--sidecar", "--run-as", "1337")
    check(config_map)
    spec = patch["spec"]["template"]["spec"]
    (ours,) = spec["initContainers"]
    assert ours["restartPolicy"] == "Always"
    assert ours["securityContext"]["runAsUser"] == 1337
    folder = spec["containers"][0]["volumeMounts"][0]
    assert folder in ours["volumeMounts"]
    environment = {each["name"]: each["value"] for each in ours["env"]}
    assert environment["EXTPROC_PROCESSOR__BIND"] == f"unix:{folder['mountPath']}/w{{n}}.sock"
    whole = {**patch, "spec": {"selector": {"matchLabels": {"a": "b"}}, **patch["spec"]}}
    whole["spec"]["template"]["metadata"]["labels"] = {"a": "b"}
    spec["containers"][0]["image"] = "envoy"
    check(whole)  # as it is once merged


@pytest.mark.parametrize(("options", "why"), [
    ([], "development certificate of its own"),
    (["--guard-only", "--issuer", "ca"], "--issuer needs --callers"),
    (["--sidecar", "--tls-secret", "x"], "--sidecar is for"),
    (["--guard-only", "--sidecar", "--tls-secret", "x"], "for its owner alone"),
    (["--guard-only", "--name", "Bad_Name"], "--name"),
    (["--guard-only", "--callers", "a/b"], "a namespace"),
    (["--guard-only", "--tls-secret", "a b"], "--tls-secret"),
    (["--guard-only", "--replicas", "0"], "--replicas"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(capsys, config, options, why):
    assert why in refused(capsys, "kubernetes", "-c", config, *options)


def test_a_configuration_from_the_environment_cannot_be_mounted(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-MARKER")
    assert "--config" in refused(capsys, "kubernetes", "--guard-only")


def test_no_key_is_rendered(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-MARKER")
    path = tmp_path / "extproc.yaml"
    path.write_text("providers: {openai: {keys: ['env:OPENAI_API_KEY']}}\n")
    objects = rendered(capsys, "kubernetes", "-c", path, "--tls-secret", "t")
    assert "sk-MARKER" not in repr(objects)
    assert container(objects)["envFrom"] == [{"secretRef": {"name": "llm-extproc-keys", "optional": True}}]
