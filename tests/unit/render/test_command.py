"""The options of ``extproc render``, and what they refuse."""

import pytest
import yaml

from extproc.cli import main
from tests.support import ROOT

FRONT = (ROOT / "tests" / "e2e" / "front_proxy.yaml").read_text("utf-8")
GOOD = """
policies: {names: {kind: wordlist, words: [falcon], action: redact}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A configuration, and an Envoy's, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "extproc.yaml").write_text(GOOD)
    text = FRONT.replace("@CERT@", "/c").replace("@KEY@", "/k").replace("@JWKS@", "{}")
    for name in ("EDGE", "PLAIN", "CATALOG", "ORDERS", "MODELS"):
        text = text.replace(f"@{name}@", "8000")
    (tmp_path / "envoy.yaml").write_text(text)
    return tmp_path


def ran(capsys, *arguments, status=0):
    assert main(["render", "envoy", *arguments]) == status
    return capsys.readouterr()


def snippet(text):
    """The two lists that are to be pasted."""
    assert text.count("\n# ") >= 3
    first, second = text.split("\n# 2. ")
    return yaml.safe_load(first)[0], yaml.safe_load("# " + second)[0]


@pytest.mark.parametrize("variant", ["guard", "shadow"])
def test_a_snippet_to_paste(capsys, variant):
    option = {"guard": "--guard-only", "shadow": "--shadow"}[variant]
    filter_, cluster = snippet(ran(capsys, option, "--processor", "unix:/run/w0.sock", "--processor", "10.0.0.1:9").out)
    assert filter_["name"] == f"llm.extproc.{variant}"
    config = filter_["typed_config"]
    assert config["grpc_service"]["envoy_grpc"]["cluster_name"] == cluster["name"]
    assert config["grpc_service"]["initial_metadata"] == [{"key": "x-llm-filter", "value": variant}]
    assert config["failure_mode_allow"] is (variant == "shadow")
    assert config.get("observability_mode", False) is (variant == "shadow")
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [next(iter(each["endpoint"]["address"])) for each in endpoints] == ["pipe", "socket_address"]


def test_the_processor_of_the_configuration_is_the_default(capsys, folder):
    (folder / "extproc.yaml").write_text(GOOD + 'processor: {bind: "10.9.9.9:18080"}\n')
    _, cluster = snippet(ran(capsys, "--guard-only").out)
    assert "10.9.9.9" in str(cluster)


@pytest.mark.parametrize(
    ("more", "kind", "name", "sni"),
    [
        ([], "DNS", "processor.ns.svc", "processor.ns.svc"),
        (["--processor-name", "spiffe://cluster.local/ns/llm/sa/p"], "URI", "spiffe://cluster.local/ns/llm/sa/p", None),
        (["--processor-name", "10.0.0.1"], "IP_ADDRESS", "10.0.0.1", None),
    ],
)
def test_mutual_tls_checks_the_processors_name(capsys, more, kind, name, sni):
    arguments = ["--guard-only", "--processor", "processor.ns.svc:18080", "--processor-tls", "/ca,/cert,/key", *more]
    _, cluster = snippet(ran(capsys, *arguments).out)
    context = cluster["transport_socket"]["typed_config"]
    assert context.get("sni") == sni
    common = context["common_tls_context"]
    assert common["validation_context"]["trusted_ca"] == {"filename": "/ca"}
    expected = [{"san_type": kind, "matcher": {"exact": name}}]
    assert common["validation_context"]["match_typed_subject_alt_names"] == expected
    assert common["tls_certificates"][0]["private_key"] == {"filename": "/key"}


def test_printed_or_in_place_or_in_a_folder(capsys, folder):
    before = (folder / "envoy.yaml").read_bytes()
    arguments = ["--guard-only", "--merge-into", "envoy.yaml"]
    printed = ran(capsys, *arguments).out
    assert (folder / "envoy.yaml").read_bytes() == before
    ran(capsys, *arguments, "--out", "new")
    assert (folder / "new" / "envoy.yaml").read_text() == printed
    (folder / "envoy.yaml").chmod(0o640)
    assert ran(capsys, *arguments, "--in-place").out == ""
    assert (folder / "envoy.yaml").read_text() == printed
    assert (folder / "envoy.yaml").stat().st_mode & 0o777 == 0o640
    assert "it is there already" in ran(capsys, *arguments, "--in-place").err
    assert (folder / "envoy.yaml").read_text() == printed
    (folder / "extproc.yaml").write_text("broken: [")  # taking it out works all the same
    assert ran(capsys, "--remove-from", "envoy.yaml").out.encode() == before
    ran(capsys, "--undo", "envoy.yaml", "--in-place")
    assert (folder / "envoy.yaml").read_bytes() == before
    assert "nothing to remove" in ran(capsys, "--undo", "envoy.yaml", "--in-place").err


def test_one_of_two_is_removed(capsys, folder):
    ran(capsys, "--shadow", "--merge-into", "envoy.yaml", "--in-place")
    shadowed = (folder / "envoy.yaml").read_text()
    ran(capsys, "--guard-only", "--route", "assistant", "--merge-into", "envoy.yaml", "--in-place")
    assert ran(capsys, "--guard-only", "--remove-from", "envoy.yaml").out == shadowed


def test_a_link_stays_one(capsys, folder):
    (folder / "real.yaml").write_text((folder / "envoy.yaml").read_text())
    (folder / "link.yaml").symlink_to("real.yaml")
    ran(capsys, "--shadow", "--merge-into", "link.yaml", "--in-place")
    assert (folder / "link.yaml").is_symlink()
    assert "llm.extproc.shadow" in (folder / "real.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--guard-only", "--shadow"], "not allowed with"),
        (["--merge-into", "envoy.yaml"], "--guard-only or --shadow"),
        (["--guard-only", "--merge-into", "envoy.yaml", "--remove-from", "envoy.yaml"], "not allowed with"),
        (["--guard-only", "--in-place"], "--merge-into and --remove-from"),
        (["--guard-only", "--merge-into", "envoy.yaml", "--in-place", "--out", "x"], "two places"),
        (["--guard-only", "--route", "a"], "for --merge-into"),
        (["--shadow", "--merge-into", "envoy.yaml", "--route", "a", "--except-route", "b"], "not allowed with"),
        (["--remove-from", "envoy.yaml", "--listener", "edge"], "for --merge-into"),
        (["--processor", "unix:/x"], "processor.bind"),
        (["--remove-from", "envoy.yaml", "--shadow", "--processor", "unix:/x"], "--processor is for"),
    ],
)
def test_options_that_make_no_sense_together(capsys, arguments, words):
    with pytest.raises(SystemExit) as ended:
        main(["render", "envoy", *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--processor", "unix:relative"], "has to be absolute"),
        (["--processor", "nowhere"], "unix:/PATH or HOST:PORT"),
        (["--processor", "host:0"], "unix:/PATH or HOST:PORT"),
        (["--processor-tls", "a,b"], "CA,CERT,KEY"),
        (["--processor-tls", "a,b,c"], "--processor-name"),
        (["--processor-name", "x"], "--processor-tls"),
        (["--merge-into", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["--merge-into", "envoy.yaml", "--route", "nope"], "no route nope"),
    ],
)
def test_what_cannot_be_done(capsys, arguments, words):
    assert words in ran(capsys, "--guard-only", *arguments, status=1).err


def test_the_version_of_envoy(capsys):
    arguments = ["--guard-only", "--merge-into", "envoy.yaml", "--envoy"]
    assert "per_connection_buffer_limit_bytes: 33554432" in ran(capsys, *arguments, "1.36.4").out
    assert "per_connection_buffer_limit_bytes" not in ran(capsys, *arguments, "1.38").out
    assert "Envoy 1.36: only the connection's limit" in ran(capsys, *arguments, "1.36").err
    assert "cannot carry" in ran(capsys, *arguments, "1.35", status=1).err
    assert "is no version" in ran(capsys, *arguments, "new", status=1).err


def test_a_gateway_needs_providers(capsys):
    assert "--guard-only or --shadow" in ran(capsys, status=1).err


def test_what_is_no_text(capsys, folder):
    (folder / "envoy.yaml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in ran(capsys, "--guard-only", "--merge-into", "envoy.yaml", status=1).err
