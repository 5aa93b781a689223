import orjson
import pytest
import yaml

from extproc.cli import main

GOOD = 'providers: {a: {type: openai-compatible, base_url: "http://h/v1", keys: none}}\n'


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("EXTPROC_CONFIG", "PORT", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def write(text):
        (tmp_path / "extproc.yaml").write_text(text)
        return tmp_path / "extproc.yaml"

    return write


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("llm-extproc ")


@pytest.mark.envoy
def test_check_says_what_the_configuration_comes_to(config, capsys):
    config(GOOD)
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "policy pii: redact, enforce, request+response" in out
    assert "packs found: adult, profanity, prompt-injection" in out
    assert out.endswith("checked by Envoy: ok\n")


@pytest.mark.parametrize(
    ("to", "warned"),
    [
        ("{model: local-*}", True), ("{operation: embeddings}", True), ("{model: m, operation: chat}", True),
        ("{model: m, jwt: {team: red}}", False), ("{principal: 'spiffe://a'}", False), ("{operation: chat, route: r}", False),
    ],
)  # fmt: skip
def test_check_warns_of_exceptions_that_clients_choose(config, capsys, to, warned, monkeypatch):
    monkeypatch.setattr("extproc.commands._check_with_envoy", lambda runtime, options: None)
    line = f"  - {{except: pii, to: {to}, reason: a test, until: 2999-01-01}}\n"
    config(GOOD + "attach:\n  - {use: [pii, secrets]}\n" + line)
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert ("goes without pii" in out) is warned
    assert ("extproc.yaml:4:" in out) is warned


def test_check_names_file_line_and_column(config, capsys):
    config(GOOD + "gateway:\n  prot: 1\n")
    assert main(["check"]) == 1
    assert "extproc.yaml:3:9: gateway.prot: unknown key, did you mean 'port'? allowed here: " in capsys.readouterr().err


def test_all_problems_are_told_at_once(config, capsys):
    config(GOOD + "gateway: {prot: 1, port: 99999}\nlog: {format: loud}\n")
    assert main(["check"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3


@pytest.mark.parametrize("key", ["", "unused"])
def test_without_a_provider_up_says_what_to_do(config, capsys, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert main(["up"]) == 1
    err = capsys.readouterr().err
    assert "OPENAI_API_KEY" in err
    assert "extproc demo" in err


def test_config_prints_what_is_in_force(config, capsys, monkeypatch):
    config(GOOD)
    monkeypatch.setenv("EXTPROC_GATEWAY__PORT", "9999")
    assert main(["config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["gateway"]["port"] == 9999


def test_config_schema_is_json(capsys):
    assert main(["config", "--schema"]) == 0
    assert orjson.loads(capsys.readouterr().out)["title"] == "Config"


def test_check_of_what_others_route_needs_no_envoy(config, capsys):
    config("policies: {names: {kind: wordlist, words: [falcon], action: redact}}\n")
    assert main(["check"]) == 0
    assert "others route" in capsys.readouterr().out


def test_render_envoy_is_a_bootstrap(config, capsys, tmp_path):
    config(GOOD)
    assert main(["render", "envoy", "--state", str(tmp_path / "state")]) == 0
    assert "listeners" in yaml.safe_load(capsys.readouterr().out)["static_resources"]


def test_a_missing_file_is_an_error(config, capsys):
    assert main(["check", "--config", "nowhere.yaml"]) == 1
    assert "nowhere.yaml" in capsys.readouterr().err


def test_check_warns_of_what_nobody_looks_into(config, capsys, monkeypatch):
    monkeypatch.setattr("extproc.commands._check_with_envoy", lambda runtime, options: None)
    lines = "operations:\n  files: {path: /v1/files, to: a, scan: opaque}\n  rank: {path: /v1/rank, scan: generic}\n"
    config(GOOD + lines)
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "operation files: /v1/files, opaque\noperation rank: /v1/rank, generic\n" in out
    assert out.count("warning:") == 1
    assert "operations.files: opaque: nobody looks into" in out
