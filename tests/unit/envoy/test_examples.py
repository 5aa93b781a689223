"""The files in envoy/ are what the code renders today, and Envoy accepts them."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from extproc.commands import schema
from extproc.config.load import load
from extproc.envoy import binary, certificates, static
from extproc.envoy.layout import Layout
from extproc.runtime import compile_runtime

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "envoy"
UPDATE = bool(os.environ.get("UPDATE_EXAMPLES"))


def rendered(run="/run/llm-extproc", ca="/etc/ssl/certs/ca-certificates.crt", folder="/etc/llm-extproc"):
    runtime = compile_runtime(load(EXAMPLES / "gateway.extproc.yaml", {"OPENAI_API_KEY": "example"}))
    layout = Layout(Path(run), Path(folder) / "server.pem", Path(folder) / "server.key", ca, (f"{run}/w0.sock",))
    return static.text(runtime, layout)


def in_step(path, text):
    if UPDATE:
        path.write_text(text)
    assert path.read_text() == text, f"{path.name} is out of date: run this test with UPDATE_EXAMPLES=1"


def test_gateway_example_is_what_the_code_renders():
    in_step(EXAMPLES / "gateway.yaml", rendered())


def test_published_schema_is_what_the_models_say():
    in_step(ROOT / "extproc" / "config" / "extproc.schema.json", schema() + "\n")


def test_no_key_is_ever_rendered():
    runtime = compile_runtime(load(EXAMPLES / "gateway.extproc.yaml", {"OPENAI_API_KEY": "sk-marker-9"}))
    layout = Layout(Path("/r"), Path("/c"), Path("/k"), "/ca", ("/r/w0.sock",))
    assert "sk-marker-9" not in static.text(runtime, layout)
    assert "sk-marker-9" not in repr(runtime)


@pytest.mark.envoy
def test_envoy_accepts_the_example(tmp_path):
    cert, _, ca = certificates.ensure(tmp_path)
    path = tmp_path / "gateway.yaml"
    path.write_text(rendered(run=str(tmp_path), ca=str(ca), folder=str(cert.parent)))
    command = [str(binary.find()), "--mode", "validate", "-c", str(path), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def routes():
    whole = yaml.safe_load(rendered())
    listeners = whole["static_resources"]["listeners"]
    return [each["filter_chains"][0]["filters"][0]["typed_config"]["route_config"] for each in listeners]


def test_the_last_route_is_undecided_and_every_other_needs_a_decision():
    for config in routes():
        *decided, last = config["virtual_hosts"][0]["routes"]
        assert last["route"] == {"cluster": "nowhere"}
        assert decided
        assert all(route["match"]["dynamic_metadata"] for route in decided)


def test_every_route_strips_credentials():
    """All where an upstream filter adds its own; else all but the one that the router filter has overwritten."""
    everything = {"authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie"}
    kept = [
        everything - set(route["request_headers_to_remove"])
        for config in routes()
        for route in config["virtual_hosts"][0]["routes"][:-1]
    ]
    assert set() in kept
    assert all(each in (set(), {"authorization"}) for each in kept)


def test_retries_are_one_less_than_the_priorities():
    by_name = {route["name"]: route for route in routes()[0]["virtual_hosts"][0]["routes"][:-1]}
    assert by_name["smart-b2684d9a"]["route"]["retry_policy"]["num_retries"] == 1


def test_each_tls_backend_has_its_own_sni_and_certificate_check():
    whole = yaml.safe_load(rendered())
    smart = next(each for each in whole["static_resources"]["clusters"] if each["name"] == "smart-b2684d9a")
    tls, plain = smart["transport_socket_matches"]
    context = tls["transport_socket"]["typed_config"]
    assert context["sni"] == "api.openai.com"
    names = context["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert names == [{"san_type": "DNS", "matcher": {"exact": "api.openai.com"}}]
    assert plain["transport_socket"]["name"] == "envoy.transport_sockets.raw_buffer"


def test_neither_filter_allows_failure_and_the_upstream_one_never_sees_answers():
    whole = yaml.safe_load(rendered())
    manager = whole["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    router = next(each["typed_config"] for each in manager["http_filters"] if each["name"] == "llm.extproc.router")
    assert router["failure_mode_allow"] is False
    assert router["processing_mode"]["request_body_mode"] == "BUFFERED"
    assert router["processing_mode"]["response_body_mode"] == "FULL_DUPLEX_STREAMED"
    clusters = {each["name"]: each for each in whole["static_resources"]["clusters"]}
    assert "load_assignment" not in clusters.pop("nowhere")
    del clusters["extproc"]
    for cluster in clusters.values():
        options = cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
        *ours, codec = options["http_filters"]
        assert codec["name"] == "envoy.filters.http.upstream_codec"
        several = sum(len(each["lb_endpoints"]) for each in cluster["load_assignment"]["endpoints"]) > 1
        assert bool(ours) is several  # one backend needs none
        if not ours:
            continue
        upstream = ours[0]["typed_config"]
        assert upstream["failure_mode_allow"] is False
        assert upstream["processing_mode"]["response_body_mode"] == "NONE"
        assert upstream["processing_mode"]["response_header_mode"] == "SKIP"
