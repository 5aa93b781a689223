"""Mutual TLS of the processor: which files are good, when they are read again, whom a certificate admits."""

import os
from pathlib import Path

import pytest

from extproc.config.load import load
from extproc.errors import ConfigError, StartupError
from extproc.gateway import only_elsewhere
from extproc.runtime import compile_runtime
from extproc.transport.tls import Certificates, Files, admitted
from tests.e2e.authority import Authority


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def files_of(folder: Path, authority: Authority, name: str = "localhost") -> Files:
    """A certificate, its key and the authority, each in a file of its own."""
    pem = authority.certificate(name).read_text()
    key, _, cert = pem.partition("-----BEGIN CERTIFICATE")
    (folder / "tls.key").write_text(key)
    (folder / "tls.crt").write_text("-----BEGIN CERTIFICATE" + cert)
    return Files(folder / "tls.crt", folder / "tls.key", authority.pem)


def test_good_files_make_credentials(tmp_path, authority):
    assert Certificates(files_of(tmp_path, authority)).credentials()


@pytest.mark.parametrize(("which", "text", "why"), [
    *((each, None, "cannot be read") for each in ("tls.crt", "tls.key", "upstream-ca.pem")),
    *((each, "nonsense", "must be PEM") for each in ("tls.crt", "tls.key", "upstream-ca.pem")),
    ("tls.crt", "other", "the key is not the certificate's"),
])  # fmt: skip
def test_bad_files_are_named(tmp_path, authority, which, text, why):
    files = files_of(tmp_path, authority)
    if text is None:
        (tmp_path / which).unlink()
    else:
        (tmp_path / which).write_text(authority.pem.read_text() if text == "other" else text)
    with pytest.raises(StartupError, match=why) as caught:
        Certificates(files).credentials()
    assert "PRIVATE" not in str(caught.value)


def test_files_are_read_again_when_they_have_changed_and_only_then(tmp_path, authority):
    certificates = Certificates(files_of(tmp_path, authority))
    certificates.credentials()
    assert certificates._renewed() is None
    files_of(tmp_path, authority, "127.0.0.1")
    os.utime(tmp_path / "tls.crt", ns=(1, 1))  # whatever the clock's resolution
    assert certificates._renewed() is not None
    assert certificates._renewed() is None


def test_a_pair_that_is_half_replaced_changes_nothing_yet(tmp_path, authority):
    certificates = Certificates(files_of(tmp_path, authority))
    certificates.credentials()
    other = tmp_path / "other"
    other.mkdir()
    files_of(other, authority, "127.0.0.1")
    (other / "tls.crt").replace(tmp_path / "tls.crt")
    assert certificates._renewed() is None
    (tmp_path / "tls.key").unlink()
    assert certificates._renewed() is None
    (other / "tls.key").replace(tmp_path / "tls.key")
    assert certificates._renewed() is not None


PEER = {"x509_subject_alternative_name": [b"envoy.mesh", b"spiffe://cluster.local/ns/gateways/sa/envoy"]}


@pytest.mark.parametrize(("peer", "names", "answer"), [
    (PEER, [], True), ({}, [], True), ({}, ["envoy.mesh"], False),
    (PEER, ["envoy.mesh"], True), (PEER, ["envoy"], False), (PEER, ["envoy.mesh.other"], False),
    (PEER, ["spiffe://cluster.local/ns/gateways/*"], True), (PEER, ["spiffe://cluster.local/ns/gate"], False),
    (PEER, ["spiffe://cluster.local/ns/shop/*"], False), (PEER, ["x", "envoy.mesh"], True),
    ({"x509_common_name": [b"envoy.mesh"]}, ["envoy.mesh"], False),
    ({"x509_subject_alternative_name": [b"\xff"]}, ["envoy.mesh"], False),
])  # fmt: skip
def test_whom_a_certificate_admits(peer, names, answer):
    assert admitted(peer, names) is answer


def loaded(tmp_path, text):
    path = tmp_path / "extproc.yaml"
    path.write_text("providers: {openai: {keys: none}}\n" + text)
    return load(path, {})


TLS = "tls: {cert: a.pem, key: a.key, client_ca: ca.pem"


@pytest.mark.parametrize(("text", "why"), [
    (f"processor: {{{TLS}}}}}", r"tls is for bind: HOST:PORT"),
    (f"processor: {{bind: '0.0.0.0:1', transport: native, {TLS}}}}}", "native needs a Unix socket"),
    ("processor: {bind: '0.0.0.0:1', tls: {cert: a.pem, key: a.key}}", "client_ca"),
    (f"processor: {{bind: '0.0.0.0:1', {TLS}, names: ['*']}}}}", "names"),
    (f"processor: {{bind: '0.0.0.0:1', {TLS}, names: ['a*b']}}}}", "names"),
    (f"processor: {{bind: '0.0.0.0:1', {TLS}, names: ['']}}}}", "names"),
])  # fmt: skip
def test_the_configuration_refuses_what_would_not_protect(tmp_path, text, why):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert any(why in str(each) for each in caught.value.problems)


def test_it_is_for_an_envoy_elsewhere(tmp_path):
    text = f"processor: {{bind: '0.0.0.0:18080', {TLS}, names: ['spiffe://cluster.local/ns/a/sa/*', envoy.mesh]}}}}"
    runtime = compile_runtime(loaded(tmp_path, text))
    assert not runtime.config.processor.native
    with pytest.raises(StartupError, match="for an Envoy elsewhere"):
        only_elsewhere(runtime)
    only_elsewhere(compile_runtime(loaded(tmp_path, "")))
