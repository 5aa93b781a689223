"""What is merged into an Envoy bootstrap: only what is ours is added, and taking it out gives the bytes back."""

import re
import subprocess
from dataclasses import replace

import pytest
import yaml

from extproc.config.model import Config
from extproc.envoy import binary, certificates, types
from extproc.envoy.filters import guard_filter
from extproc.envoy.processor import Processor, processor_cluster
from extproc.errors import ConfigError
from extproc.framing.jsontext import dump, dump_pretty
from extproc.render.merge import Addition, merge, remove
from tests.support import ROOT

FRONT = (ROOT / "tests" / "e2e" / "front_proxy.yaml").read_text("utf-8")
FRONT = re.sub("@(CATALOG|ORDERS|MODELS)@", "8000", FRONT.replace("@EDGE@", "0").replace("@PLAIN@", "8001"))
KEYS = '{"keys": [{"kty": "oct", "alg": "HS256", "kid": "1", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}'
MANAGER = types.HTTP_MANAGER
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": types.ROUTER}}
PROCESSOR = Processor(("/run/llm/w0.sock",))
GUARD = Addition("guard", guard_filter(Config()), processor_cluster(PROCESSOR, types.GUARD_CLUSTER), 32 << 20)
SHADOW = Addition("shadow", guard_filter(Config(), shadow=True), processor_cluster(PROCESSOR, types.SHADOW_CLUSTER))


def added(text, addition=GUARD, **options):
    return merge(text, replace(addition, **options), "envoy.yaml")


def taken_out(text, addition=GUARD):
    return remove(text, addition.label, addition.name, addition.cluster["name"], "envoy.yaml")


def small(**manager):
    """A bootstrap as a value."""
    routes = [
        {"match": {"path": "/v1/chat"}, "name": "chat", "route": {"cluster": "a"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "a"}},
    ]
    config = {
        "@type": MANAGER,
        "stat_prefix": "x",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [ROUTER],
        **manager,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": config}]}
    listener = {"name": "in", **types.address("127.0.0.1", 0), "filter_chains": [chain]}
    cluster = {"name": "a", "type": "STATIC", "connect_timeout": "1s"}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


class Loose(yaml.SafeDumper):
    """Lists further in than their key."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


WRITTEN = {
    "lists as far in as their key": yaml.safe_dump(small(), sort_keys=False),
    "lists further in": yaml.dump(small(), Dumper=Loose, sort_keys=False),
    "wide": yaml.dump(small(), Dumper=Loose, sort_keys=False, indent=7),
    "flow": yaml.safe_dump(small(), default_flow_style=True),
    "flow inside": yaml.safe_dump(small(), default_flow_style=None),
    "JSON": dump_pretty(small()),
    "JSON on one line": dump(small()).decode(),
    "no line end at the end": yaml.safe_dump(small(), sort_keys=False).rstrip("\n"),
    "CRLF": yaml.safe_dump(small(), sort_keys=False).replace("\n", "\r\n"),
    "a whole front proxy": FRONT,
    "a whole front proxy with CRLF": FRONT.replace("\n", "\r\n"),
    "a document's start": "---\n# hello\n" + yaml.safe_dump(small()),
    "a byte order mark": "\ufeff" + yaml.safe_dump(small()),
}


class Lenient(yaml.SafeLoader):
    """Passes over what Envoy passes over."""


Lenient.add_constructor("!ignore", lambda loader, node: None)


def loaded(text):
    return yaml.load(text, Lenient)


OPTIONS = {
    "all": {},
    "one": {"only": ("/v1/chat",)},
    "but": {"but": ("/",)},
}


def manager_of(text, index=0):
    listener = loaded(text)["static_resources"]["listeners"][index]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def names(text, index=0):
    return [each["name"].rpartition(".")[2] for each in manager_of(text, index)["http_filters"]]


@pytest.mark.parametrize("addition", [GUARD, SHADOW], ids=["guard", "shadow"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_every_way_of_writing_comes_back_to_the_byte(text, options, addition):
    if "edge" in text and options.get("only"):
        options = {"only": ("assistant",)}
    merged = added(text, addition, **options)
    assert not merged.already
    assert addition.name in merged.text
    clusters = loaded(merged.text)["static_resources"]["clusters"]
    assert [each for each in clusters if each["name"] == addition.cluster["name"]] == [addition.cluster]
    again = added(merged.text, addition, **options)
    assert again.already
    assert again.text == merged.text
    assert taken_out(merged.text, addition) == text
    assert taken_out(text, addition) == text


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_every_line_that_was_there_is_still_there_as_it_was(text):
    kept = iter(added(text).text.splitlines())
    if len(text.splitlines()) > 5:
        flow = text.startswith("{") or "http_filters: [" in text
        assert flow or all(line in kept for line in text.splitlines())


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_guard_and_shadow_come_and_go_apart(text):
    shadowed = added(text, SHADOW)
    both = added(shadowed.text, GUARD)
    assert taken_out(both.text, GUARD) == shadowed.text
    assert taken_out(taken_out(both.text, SHADOW), GUARD) == text
    assert any("llm.extproc.shadow is there, too" in each for each in both.notes)


def test_it_stands_after_those_who_know_the_caller_and_the_compressor():
    assert names(added(FRONT).text) == ["cors", "jwt_authn", "compressor", "guard", "router"]
    assert names(added(FRONT).text, 1) == ["guard", "router"]


def test_some_routes_switch_it_on():
    text = added(FRONT, only=("assistant", "models-all")).text
    manager = manager_of(text)
    guard = next(each for each in manager["http_filters"] if each["name"] == GUARD.name)
    assert guard["disabled"] is True
    routes = [route for host in manager["route_config"]["virtual_hosts"] for route in host["routes"]]
    on = [each["name"] for each in routes if GUARD.name in each.get("typed_per_filter_config", {})]
    assert on == ["models-all", "assistant"]
    limits = [each["request_body_buffer_limit"] for each in routes if "request_body_buffer_limit" in each]
    assert limits == [32 << 20, 32 << 20]
    assert names(text, 1) == ["router"]  # no such route there


def test_some_routes_switch_it_off():
    manager = manager_of(added(FRONT, but=("/live", "shop:/")).text)
    assert "disabled" not in next(each for each in manager["http_filters"] if each["name"] == GUARD.name)
    routes = manager["route_config"]["virtual_hosts"][1]["routes"]
    off = [each["match"] for each in routes if GUARD.name in each.get("typed_per_filter_config", {})]
    assert off == [{"prefix": "/live"}, {"prefix": "/"}]
    assert all("request_body_buffer_limit" in each for each in manager["route_config"]["virtual_hosts"])


def test_one_listener():
    text = added(FRONT, listeners=("plain",)).text
    assert names(text) == ["cors", "jwt_authn", "compressor", "router"]
    assert names(text, 1) == ["guard", "router"]
    more = added(text)
    assert names(more.text)[3] == "guard"
    assert taken_out(more.text) == FRONT


def test_a_shadow_needs_no_limit_and_says_so_everywhere():
    text = added(FRONT, SHADOW).text
    assert "request_body_buffer_limit" not in text
    added_ = [each for each in text.splitlines() if each not in FRONT.splitlines()]
    named = [each for each in added_ if "llm_" in each or "llm.extproc." in each or "# " in each]
    assert len(named) > 8
    assert all("shadow" in each for each in named)


@pytest.mark.parametrize(
    ("limit", "told"), [("request_body_buffer_limit", True), ("per_request_buffer_limit_bytes", True), ("", False)]
)
def test_a_smaller_limit_is_kept_and_told(limit, told):
    value = small()
    manager = value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    if limit:
        manager["route_config"]["virtual_hosts"][0][limit] = 4096
    merged = added(yaml.safe_dump(value))
    assert any("has 4096" in each for each in merged.notes) is told
    host = manager_of(merged.text)["route_config"]["virtual_hosts"][0]
    assert host.get("request_body_buffer_limit") == (
        4096 if limit == "request_body_buffer_limit" else None if told else 32 << 20
    )


def test_where_only_the_listeners_limit_counts_it_is_set():
    merged = added(FRONT, old=True, only=("assistant",))
    listeners = loaded(merged.text)["static_resources"]["listeners"]
    assert [each.get("per_connection_buffer_limit_bytes") for each in listeners] == [32 << 20, None]
    assert taken_out(merged.text) == FRONT
    smaller = FRONT.replace("  - name: edge\n", "  - name: edge\n    per_connection_buffer_limit_bytes: 32768\n")
    assert any("has 32768" in each for each in added(smaller, old=True).notes)
    assert any("set per_connection_buffer_limit_bytes" in each for each in added(WRITTEN["JSON"], old=True).notes)


def test_routes_from_elsewhere_are_told_what_they_need():
    value = small(rds={"route_config_name": "r", "config_source": {"ads": {}}})
    del value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]
    merged = added(yaml.safe_dump(value), only=("chat",))
    assert any("llm.extproc.guard:\n    '@type'" in each for each in merged.notes)
    assert any("gateway.max_body is 33554432" in each for each in merged.notes)
    assert names(merged.text) == ["guard", "router"]


def test_envoys_own_pages_are_told():
    assert any("Envoy's own answers" in each for each in added(FRONT).notes)
    assert not any("Envoy's own answers" in each for each in added(FRONT, but=("/robots.txt",)).notes)
    assert not any("Envoy's own answers" in each for each in added(FRONT, only=("assistant",)).notes)


def test_what_upgrades_is_told():
    assert any("--except-route" in each for each in added(FRONT).notes)
    assert not any("--except-route" in each for each in added(FRONT, SHADOW).notes)


def other(kind, name="x"):
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.filters.http.{kind}"}}


@pytest.mark.parametrize(
    ("filters", "order", "notes"),
    [
        ([other("lua.v3.Lua"), ROUTER], ["guard", "x", "router"], ["x comes after the guard"]),
        (
            [other("lua.v3.Lua"), other("jwt_authn.v3.JwtAuthentication", "jwt"), ROUTER],
            ["x", "jwt", "guard", "router"],
            ["x comes before the guard"],
        ),
        (
            [other("ext_proc.v3.ExternalProcessor"), other("rbac.v3.RBAC", "rbac"), ROUTER],
            ["x", "rbac", "guard", "router"],
            ["x comes before the guard", "1.36 and 1.37"],
        ),
        (
            [other("buffer.v3.Buffer"), other("cors.v3.Cors", "cors"), ROUTER],
            ["x", "cors", "guard", "router"],
            ["larger"],
        ),
        ([other("decompressor.v3.Decompressor"), ROUTER], ["guard", "x", "router"], ["hang"]),
        ([other("compressor.v3.Compressor"), ROUTER], ["x", "guard", "router"], []),
    ],
)
def test_neighbours(filters, order, notes):
    merged = added(yaml.safe_dump(small(http_filters=filters)))
    assert names(merged.text) == order
    assert len(merged.notes) == len(notes)
    assert all(part in note for part, note in zip(notes, merged.notes, strict=True))


# what cannot be done


def refused(text, addition=GUARD, **options):
    with pytest.raises(ConfigError) as caught:
        added(text, addition, **options)
    return str(caught.value.problems[0])


def test_a_foreign_cluster_of_our_name():
    value = small()
    value["static_resources"]["clusters"].append({"name": "llm_extproc"})
    assert "not ours" in refused(yaml.safe_dump(value))


def test_unknown_names_tell_the_known():
    assert "no listener nope with HTTP; there are edge, plain" in refused(FRONT, listeners=("nope",))
    assert "no route nope; there are: models-all, /old, /robots.txt, /live, assistant" in refused(FRONT, only=("nope",))


@pytest.mark.parametrize(
    "text", ["", "[]", "a: 1", "static_resources: {}", "static_resources: {listeners: [{name: x}]}"]
)
def test_nothing_to_add_to(text):
    assert "no HTTP connection manager" in refused(text)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "a: 1\n---\nb: 2\n", "a: \x00", "a: *x"])
def test_what_is_not_yaml(text):
    assert refused(text).startswith("envoy.yaml:")


def test_other_routes_than_before():
    assert "for other routes" in refused(added(FRONT, only=("assistant",)).text)
    assert "for other routes" in refused(added(FRONT).text, only=("assistant",))


def test_one_more_route():
    text = added(added(FRONT, only=("assistant",)).text, only=("models-all",)).text
    assert text == added(FRONT, only=("models-all", "assistant")).text
    assert taken_out(text) == FRONT


def test_what_changed_since_is_told():
    merged = added(FRONT).text
    other_ = replace(GUARD, filter=guard_filter(Config.model_validate({"processor": {"message_timeout": "3s"}})))
    again = added(merged, other_)
    assert again.already
    assert any("not what would be rendered now" in each for each in again.notes)


SHARED = f"""\
static_resources:
  listeners:
  - name: one
    filter_chains:
    - filters:
      - name: hcm
        typed_config: &manager
          "@type": {MANAGER}
          http_filters: &filters
          - &router
            name: envoy.filters.http.router
          route_config: &routes
            virtual_hosts: &hosts
            - &host
              name: all
              routes: [&all {{match: {{prefix: /}}, route: {{cluster: a}}}}]
  - name: two
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          <<: *manager
          stat_prefix: two
  - name: three
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": {MANAGER}
          http_filters:
          - *router
          route_config: *routes
  clusters: []
"""


def test_aliases_and_merge_keys():
    text = SHARED.replace("  clusters: []\n", "")
    merged = added(text).text
    assert [names(merged, index) for index in range(3)] == [["guard", "router"]] * 3
    assert taken_out(merged) == text


def test_what_is_shared_is_not_changed_for_one():
    text = SHARED.replace("  clusters: []\n", "")
    assert "share what would have to differ" in refused(text, listeners=("two",))
    assert [names(added(text, listeners=("three",)).text, index) for index in range(3)] == [
        ["router"], ["router"], ["guard", "router"]
    ]  # fmt: skip


def test_an_empty_list_is_refused():
    assert "an empty list" in refused(SHARED)


def test_comments_that_were_touched():
    merged = added(FRONT).text
    with pytest.raises(ConfigError, match="is missing"):
        taken_out("\n".join(line for line in merged.split("\n") if "<<< llm" not in line))
    with pytest.raises(ConfigError, match="remove it by hand"):
        taken_out("\n".join(line for line in merged.split("\n") if "llm-extproc guard" not in line))


@pytest.mark.envoy
@pytest.mark.parametrize("addition", [GUARD, SHADOW], ids=["guard", "shadow"])
@pytest.mark.parametrize("options", [{}, {"only": ("assistant", "models-all")}, {"but": ("/live", "/")}], ids=str)
def test_envoy_accepts_it(addition, options, tmp_path):
    cert, key, _ = certificates.ensure(tmp_path)
    text = FRONT.replace("@CERT@", str(cert)).replace("@KEY@", str(key)).replace("@JWKS@", KEYS)
    path = tmp_path / "envoy.yaml"
    path.write_text(added(text, addition, **options).text)
    command = [str(binary.find()), "--mode", "validate", "-c", str(path), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
