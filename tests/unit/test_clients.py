"""What SDK clients are told, and which keys they are not left with."""

from pathlib import Path

import pytest

from extproc.clients import Reach, environment_of, provider_keys, root, variables, write_bundle
from extproc.config.load import load
from extproc.config.references import PLACED, UNUSED, without_placeholders
from extproc.runtime import compile_runtime

PLAIN = Reach("http://127.0.0.1:8080")
TLS = Reach("https://localhost:8443", "/b.pem")
PROVIDER = 'providers: {a: {type: openai-compatible, base_url: "http://h/v1", keys: none}}\n'


def loaded(folder, text, **environment):
    path = folder / "extproc.yaml"
    path.write_text(text)
    return load(path, environment)


@pytest.mark.parametrize(
    ("gateway", "listeners", "url"),
    [
        ("{}", {"main": 1, "plain": 2}, "http://127.0.0.1:2"),
        ("{plain_port: null}", {"main": 1}, "https://localhost:1"),
        ("{address: 0.0.0.0}", {"main": 1}, "https://localhost:1"),
        ('{address: "::"}', {"main": 1}, "https://[::1]:1"),
        ("{address: 192.0.2.1}", {"main": 1}, "https://192.0.2.1:1"),
        ("{tls: none}", {"main": 1}, "http://127.0.0.1:1"),
        ('{tls: none, address: "::1"}', {"main": 1}, "http://[::1]:1"),
        ("{tls: none, address: 0.0.0.0}", {"main": 1}, "http://127.0.0.1:1"),
    ],
)
def test_root(tmp_path, gateway, listeners, url):
    runtime = compile_runtime(loaded(tmp_path, f"{PROVIDER}gateway: {gateway}\n"))
    assert root(runtime, listeners) == url


def test_addresses_and_keys_that_are_none(tmp_path):
    found = variables(PLAIN, {"HOME": str(tmp_path)})
    assert found == {
        "OPENAI_BASE_URL": "http://127.0.0.1:8080/v1",
        "OPENAI_API_BASE": "http://127.0.0.1:8080/v1",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:8080",
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:8080",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:8080",
        **dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), UNUSED),
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), UNUSED),
    }


def test_keys_that_are_there_stay():
    own = {"OPENAI_API_KEY": "a", "ANTHROPIC_AUTH_TOKEN": "b", "GOOGLE_API_KEY": "c", "AWS_ACCESS_KEY_ID": "d"}
    assert not [name for name, value in variables(PLAIN, own).items() if value == UNUSED]
    assert environment_of(PLAIN, own).items() >= own.items()


@pytest.mark.parametrize(
    ("file", "text", "signs"),
    [
        ("credentials", "[default]\naws_access_key_id = A\n", True),
        ("config", "[default]\nsso_session = s\n", True),
        ("config", "[default]\nregion = eu-central-1\n", False),
    ],
)
def test_aws_files_are_heeded(tmp_path, file, text, signs):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / file).write_text(text)
    assert ("AWS_ACCESS_KEY_ID" in variables(PLAIN, {"HOME": str(tmp_path)})) is not signs


def test_bearers_of_bedrock_need_tls(tmp_path):
    bearer = {"AWS_BEARER_TOKEN_BEDROCK": "t", "HOME": str(tmp_path)}
    assert environment_of(TLS, bearer)["AWS_BEARER_TOKEN_BEDROCK"] == "t"
    assert variables(TLS, {"HOME": str(tmp_path)})["AWS_BEARER_TOKEN_BEDROCK"] == UNUSED
    changed = environment_of(PLAIN, bearer)
    assert "AWS_BEARER_TOKEN_BEDROCK" not in changed
    assert changed["AWS_ACCESS_KEY_ID"] == changed["AWS_SECRET_ACCESS_KEY"] == UNUSED


@pytest.mark.parametrize("url", [PLAIN.url, TLS.url])
def test_where_bedrocks_api_has_to_be_signed_nothing_is_made_up(tmp_path, url):
    found = variables(Reach(url, signed=True), {"AWS_BEARER_TOKEN_BEDROCK": "t", "HOME": str(tmp_path)})
    assert {name: value for name, value in found.items() if name.startswith("AWS_") and "ENDPOINT" not in name} == {
        "AWS_BEARER_TOKEN_BEDROCK": None
    }


def test_trust_only_where_there_is_tls():
    assert variables(TLS, {})["SSL_CERT_FILE"] == variables(TLS, {})["NODE_EXTRA_CA_CERTS"] == "/b.pem"
    assert "SSL_CERT_FILE" not in variables(PLAIN, {})


def test_a_bundle_has_both(tmp_path):
    (tmp_path / "system.pem").write_text("SYSTEM\n\n")
    (tmp_path / "ca.pem").write_text("OURS\n")
    path = write_bundle(tmp_path / "bundle.pem", str(tmp_path / "system.pem"), tmp_path / "ca.pem")
    assert Path(path).read_text() == "SYSTEM\nOURS\n"
    write_bundle(tmp_path / "bundle.pem", "", tmp_path / "ca.pem")
    assert Path(path).read_text() == "\nOURS\n"


def test_a_bundle_that_is_the_systems_does_not_grow(tmp_path):
    """After ``eval "$(extproc env)"`` the system's bundle is one of ours."""
    (tmp_path / "ca.pem").write_text("OURS\n")
    (tmp_path / "bundle.pem").write_text("SYSTEM\nOURS\n")
    write_bundle(tmp_path / "bundle.pem", str(tmp_path / "bundle.pem"), tmp_path / "ca.pem")
    assert (tmp_path / "bundle.pem").read_text() == "SYSTEM\nOURS\n"


def test_what_stands_for_a_key_is_one_that_is_never_used(tmp_path):
    for reach in (PLAIN, TLS):
        found = environment_of(reach, {"HOME": str(tmp_path)})
        placed = {name for name, value in found.items() if value == UNUSED}
        assert placed
        assert placed <= PLACED
        assert without_placeholders(found).keys() == found.keys() - placed


def test_no_proxy_is_asked_for_what_is_on_this_machine():
    assert "NO_PROXY" not in variables(PLAIN, {"NO_PROXY": "x"})
    found = variables(PLAIN, {"HTTPS_PROXY": "http://proxy", "NO_PROXY": "x"})
    assert found["NO_PROXY"] == found["no_proxy"] == "x,127.0.0.1"
    assert variables(Reach("http://[::1]:1"), {"all_proxy": "p"})["no_proxy"] == "::1"


def test_keys_of_the_gateway_are_not_for_its_clients(tmp_path):
    text = """
providers:
  openai: {keys: [env:MINE, $THEIRS]}
  groq: {}
  mine: {type: openai-compatible, base_url: "http://h/v1", keys: client}
policies:
  judge: {kind: moderation, service: openai, key: env:JUDGE, phase: request}
gateway: {aws_keys: {AKIAAAAAAAAAAAAAAAAA: env:CLIENTS}}
"""
    assert provider_keys(loaded(tmp_path, text)) == {"MINE", "THEIRS", "GROQ_API_KEY", "JUDGE"}


def test_no_provider_can_be_reached_past_the_gateway(tmp_path):
    found = provider_keys(loaded(tmp_path, PROVIDER))
    assert found >= {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "MISTRAL_API_KEY"}
    assert "" not in found
