"""``extproc render istio``: good objects, and what a proxy looks like once they are applied as istiod does."""

import copy
import subprocess

import jsonschema
import pytest
import yaml

from extproc.cli import main
from extproc.envoy import binary
from tests.istio import applied, gateway, merge, sidecar
from tests.objects import check, refused, rendered

PORTS = {"admin": 15000, "outbound": 15001, "inbound": 15006}
MESH = "outbound|18080||llm-extproc.llm-extproc.svc.cluster.local"
HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "extproc.yaml"
    path.write_text(
        "gateway: {max_body: 20MiB}\nproviders: {openai: {keys: none}}\npolicies: {pii: {kind: pii, find: [email]}}\n"
    )
    return path


@pytest.fixture
def render(capsys, config):
    return lambda *more: rendered(capsys, "istio", "-c", config, *more)


WAYS = [
    ["--at", "outbound"],
    ["--at", "outbound", "--selector", "app=shop", "--selector", "example.com/team=red", "--namespace", "shop"],
    ["--at", "outbound", "--host", "api.openai.com:80", "--port", "80"],
    ["--at", "inbound", "--port", "8000", "--first"],
    ["--at", "gateway", "--selector", "istio=ingressgateway", "--route", "chat"],
    ["--at", "gateway", "--gateway", "public", "--route", "chat", "--host", "llm.example.com:8080"],
    ["--at", "outbound", "--processor", "unix:/run/extproc/w0.sock", "--processor", "unix:/run/extproc/w1.sock"],
    ["--at", "gateway", "--processor", "extproc.example:18080", "--processor-tls", "/ca.pem,/cert.pem,/key.pem"],
]
WAYPOINTS = [
    ["--at", "waypoint", "--gateway", "waypoint"],
    ["--at", "waypoint", "--gateway", "w", "--route", "x", "--port", "80"],
]


@pytest.mark.parametrize("variant", ["--guard-only", "--shadow"])
@pytest.mark.parametrize("way", [*WAYS, *WAYPOINTS])
def test_the_api_server_would_take_it(render, way, variant):
    (found,) = render(variant, *way)
    check(found)
    if way not in WAYPOINTS:
        check(found, "1.24")


def test_the_checks_would_find_something(render):
    (found,) = render("--guard-only")
    found["spec"]["configPatches"][0]["patch"]["operation"] = "INSERT_LAST"
    with pytest.raises(jsonschema.ValidationError):
        check(found)
    (waypoint,) = render("--guard-only", *WAYPOINTS[0])
    with pytest.raises(jsonschema.ValidationError):
        check(waypoint, "1.24")  # whose API did not know them yet
    del waypoint["spec"]["configPatches"][1]["match"]["waypoint"]
    with pytest.raises(AssertionError):
        check(waypoint)


def managers(proxy):
    return {
        each["name"]: each["filter_chains"][0]["filters"][0]["typed_config"]
        for each in proxy["static_resources"]["listeners"]
    }


def names(proxy, listener):
    return [each["name"] for each in managers(proxy)[listener]["http_filters"]]


def cluster(proxy, name):
    return next(each for each in proxy["static_resources"]["clusters"] if each["name"] == name)


def test_a_guard_on_what_a_sidecar_sends(render):
    before = sidecar(PORTS, 1, 2)
    after = applied(before, *render("--guard-only"))
    assert names(after, "0.0.0.0_80")[-3:] == ["istio.stats", "llm.extproc.guard", "envoy.filters.http.router"]
    assert managers(after)["virtualInbound"] == managers(before)["virtualInbound"]
    guard = managers(after)["0.0.0.0_80"]["http_filters"][-2]
    assert "disabled" not in guard
    assert guard["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"] == MESH
    assert guard["typed_config"]["failure_mode_allow"] is False
    limits = {
        host["request_body_buffer_limit"] for host in managers(after)["0.0.0.0_80"]["route_config"]["virtual_hosts"]
    }
    assert limits == {20 << 20}


@pytest.mark.parametrize(("istio", "larger"), [("1.28.2", True), ("1.29", False), ("1.31.1", False)])
@pytest.mark.parametrize("way", [["--at", "outbound"], ["--at", "inbound", "--port", "15006"]])
def test_connections_have_larger_buffers_only_where_envoy_needs_them(render, istio, larger, way):
    listeners = applied(sidecar(PORTS, 1, 2), *render("--guard-only", *way, "--istio", istio))["static_resources"][
        "listeners"
    ]
    found = [each["traffic_direction"].lower() for each in listeners if "per_connection_buffer_limit_bytes" in each]
    assert found == ([way[1]] if larger else [])


def test_istiods_cluster_keeps_what_it_had_and_gets_what_it_lacked(render):
    before = sidecar(PORTS, 1, 2)
    patched = applied(before, *render("--guard-only"))
    old, new = cluster(before, MESH), cluster(patched, MESH)
    assert all(new[name] == old[name] for name in ("load_assignment", "circuit_breakers"))
    http2 = new["typed_extension_protocol_options"][HTTP2]["explicit_http_config"]["http2_protocol_options"]
    assert http2["initial_stream_window_size"] == 65536
    assert new["connect_timeout"] == "1s"
    assert cluster(patched, "inbound|8000||") == cluster(before, "inbound|8000||")


def test_several_objects_for_one_proxy_do_not_spoil_its_clusters(render):
    several = [*render("--guard-only"), *render("--shadow"), *render("--guard-only", "--at", "inbound")]
    once, all_ = applied(sidecar(PORTS, 1, 2), several[0]), applied(sidecar(PORTS, 1, 2), *several)
    shadow = applied(sidecar(PORTS, 1, 2), *render("--shadow"))
    assert cluster(all_, MESH) == cluster(shadow, MESH) != cluster(once, MESH)
    ping = cluster(all_, MESH)["typed_extension_protocol_options"][HTTP2]["explicit_http_config"][
        "http2_protocol_options"
    ]
    assert ping["connection_keepalive"] == {"interval": "1s", "timeout": "2s"}  # a shadow must not hold anything up
    own = ["--processor", "unix:/run/extproc/w0.sock"]
    several = [
        *render("--guard-only", *own),
        *render("--shadow", *own),
        *render("--guard-only", "--at", "inbound", *own),
    ]
    names = [each["name"] for each in applied(sidecar(PORTS, 1, 2), *several)["static_resources"]["clusters"]]
    assert len(names) == len(set(names))


def test_a_guard_on_what_a_sidecar_gets(render):
    after = applied(sidecar(PORTS, 1, 2), *render("--guard-only", "--at", "inbound", "--port", "15006"))
    assert names(after, "virtualInbound")[-2:] == ["llm.extproc.guard", "envoy.filters.http.router"]
    assert "llm.extproc.guard" not in names(after, "0.0.0.0_80")
    assert "outlier_detection" in cluster(after, MESH)
    other = applied(sidecar(PORTS, 1, 2), *render("--guard-only", "--at", "inbound", "--port", "9999"))
    assert "llm.extproc.guard" not in names(other, "virtualInbound")


def test_first(render):
    after = applied(sidecar(PORTS, 1, 2), *render("--guard-only", "--first"))
    assert names(after, "0.0.0.0_80")[0] == "llm.extproc.guard"


def test_only_one_host(render):
    after = applied(sidecar(PORTS, 1, 2), *render("--guard-only", "--host", "api.openai.com:80"))
    manager = managers(after)["0.0.0.0_80"]
    assert manager["http_filters"][-2]["disabled"] is True
    on = [host["name"] for host in manager["route_config"]["virtual_hosts"] if "typed_per_filter_config" in host]
    assert on == ["api.openai.com:80"]


def test_only_one_route_which_policies_know_by_its_name(render):
    after = applied(gateway(PORTS, 1, 2), *render("--guard-only", "--at", "gateway", "--route", "chat"))
    manager = managers(after)["gateway_0.0.0.0_8080"]
    assert manager["http_filters"][-2]["disabled"] is True
    chat, shop = manager["route_config"]["virtual_hosts"][0]["routes"]
    (told,) = chat["typed_per_filter_config"]["llm.extproc.guard"]["overrides"]["grpc_initial_metadata"]
    assert told == {"key": "x-llm-route", "value": "chat"}
    assert "typed_per_filter_config" not in shop


def test_a_shadow_beside_a_guard(render):
    """Watch all, enforce on one route: two objects, each deleted on its own."""
    guard = render("--guard-only", "--at", "gateway", "--route", "chat")
    shadow = render("--shadow", "--at", "gateway")
    assert guard[0]["metadata"]["name"] != shadow[0]["metadata"]["name"]
    before = gateway(PORTS, 1, 2)
    after = applied(before, *guard, *shadow)
    assert names(after, "gateway_0.0.0.0_8080")[-3:-1] == ["llm.extproc.guard", "llm.extproc.shadow"]
    alone = applied(before, *shadow)
    assert "request_body_buffer_limit" not in str(managers(alone))
    assert applied(before) == before
    watching = managers(alone)["gateway_0.0.0.0_8080"]["http_filters"][-2]["typed_config"]
    assert watching["observability_mode"] is watching["failure_mode_allow"] is True


def test_a_processor_in_the_pod_has_a_cluster_of_its_own(render):
    after = applied(sidecar(PORTS, 1, 2), *render("--guard-only", "--processor", "unix:/run/extproc/w0.sock"))
    own = cluster(after, "llm_extproc_outbound")
    assert own["load_assignment"]["endpoints"][0]["lb_endpoints"] == [
        {"endpoint": {"address": {"pipe": {"path": "/run/extproc/w0.sock"}}}}
    ]
    assert cluster(after, MESH) == cluster(sidecar(PORTS, 1, 2), MESH)


def test_a_waypoint_has_a_cluster_of_its_own_and_says_what_is_not_known(render, capsys, config):
    (found,) = render("--guard-only", *WAYPOINTS[0])
    assert found["spec"]["targetRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint"}
    ]
    after = applied(gateway(PORTS, 1, 2, waypoint=True), found)
    assert names(after, "main_internal")[-2] == "llm.extproc.guard"
    own = cluster(after, "llm_extproc_waypoint")
    assert own["type"] == "STRICT_DNS"
    assert "llm-extproc-pods.llm-extproc.svc.cluster.local" in str(own)
    assert main(["render", "istio", "-c", str(config), "--guard-only", *WAYPOINTS[0]]) == 0
    assert "CAUTION" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "why"), [
    (["--at", "waypoint"], "--gateway NAME"),
    (["--at", "waypoint", "--gateway", "w", "--selector", "a=b"], "--gateway NAME"),
    (["--at", "waypoint", "--gateway", "w", "--host", "a:80"], "--host"),
    (["--gateway", "w"], "--at gateway"),
    (["--at", "gateway", "--gateway", "w", "--selector", "a=b"], "either --gateway or --selector"),
    (["--selector", "shop"], "LABEL=VALUE"),
    (["--selector", "a b=c"], "LABEL=VALUE"),
    (["--namespace", "A"], "--namespace"),
    (["--port", "70000"], "no port"),
    (["--istio", "1.27.3"], "carries Envoy 1.35"),
    (["--istio", "latest"], "say it as"),
    (["--at", "waypoint", "--gateway", "w", "--istio", "1.28"], "no EnvoyFilter for waypoints"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(capsys, config, options, why):
    assert why in refused(capsys, "istio", "-c", config, "--guard-only", *options)


def test_the_version_says_which_envoy_it_is(capsys, config):
    assert main(["render", "istio", "-c", str(config), "--shadow", "--istio", "1.28.3"]) == 0
    assert "carries Envoy 1.36" in capsys.readouterr().err
    assert main(["render", "istio", "-c", str(config), "--guard-only", "--istio", "1.28.3"]) == 0
    assert "warning: Envoy 1.36: only the connection's limit" in capsys.readouterr().err


def test_merging_is_protobufs():
    into = {"a": 1, "list": [1], "deep": {"x": 1, "y": 2}, "typed_per_filter_config": {"f": {"p": 1}, "g": {}}}
    value = {"a": 2, "list": [2], "deep": {"y": 3}, "typed_per_filter_config": {"f": {"q": 2}}}
    kept = copy.deepcopy(value)
    merge(into, value)
    assert into == {
        "a": 2, "list": [1, 2], "deep": {"x": 1, "y": 3}, "typed_per_filter_config": {"f": {"q": 2}, "g": {}}
    }  # fmt: skip
    assert value == kept


@pytest.mark.envoy
@pytest.mark.parametrize("way", [*WAYS[:7], *WAYPOINTS])
def test_envoy_takes_the_patched_proxy(render, tmp_path, way):
    kind = way[1]
    proxy = (
        sidecar(PORTS, 1, 2) if kind in ("outbound", "inbound") else gateway(PORTS, 1, 2, waypoint=kind == "waypoint")
    )
    patched = applied(proxy, *render("--guard-only", *way), *render("--shadow", *way))
    path = tmp_path / "envoy.yaml"
    path.write_text(yaml.safe_dump(patched))
    command = [str(binary.find()), "--mode", "validate", "-c", str(path), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
