"""``extproc check --live`` against a small local provider."""

import http.server
import socket
import ssl
import threading

import pytest

from extproc.cli import main
from extproc.envoy import certificates


class Provider(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("authorization")))
        good = self.headers.get("authorization") in (None, "Bearer sk-good")
        self.send_response(self.server.status if good else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        return


@pytest.fixture
def provider(tmp_path):
    def start(tls=False, status=200):
        server = http.server.HTTPServer(("127.0.0.1", 0), Provider)
        server.seen, server.status = [], status
        if tls:
            cert, key, _ = certificates.ensure(tmp_path / "provider")
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(cert, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    servers = []
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def check(tmp_path, monkeypatch, capsys, url, key="", extra=""):
    for name in ("PORT", "EXTPROC_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIVE_KEY", key)
    path = tmp_path / "c.yaml"
    keys = "env:LIVE_KEY" if key else "none"
    path.write_text(
        f'providers: {{p: {{type: openai-compatible, base_url: "{url}", keys: {keys}}}}}\n'
        f"gateway: {{port: 0, plain_port: 0{extra}}}\nhealth: {{port: 0}}\n"
    )
    status = main(["check", "--live", "--config", str(path)])
    out = capsys.readouterr().out
    assert "sk-" not in out
    return status, out


def test_a_key_that_works(provider, tmp_path, monkeypatch, capsys):
    server = provider()
    status, out = check(tmp_path, monkeypatch, capsys, f"http://127.0.0.1:{server.server_port}/v1", "sk-good")
    assert (status, server.seen) == (0, [("/v1/models", "Bearer sk-good")])
    assert "ok    provider p: key 1 works" in out


def test_a_key_that_is_refused(provider, tmp_path, monkeypatch, capsys):
    status, out = check(tmp_path, monkeypatch, capsys, f"http://127.0.0.1:{provider().server_port}/v1", "sk-bad")
    assert status == 1
    assert "FAIL  provider p: key 1 is refused (401)" in out


def test_a_provider_that_does_not_tell(provider, tmp_path, monkeypatch, capsys):
    status, out = check(tmp_path, monkeypatch, capsys, f"http://127.0.0.1:{provider(status=404).server_port}/v1")
    assert status == 0
    assert "cannot be told" in out


def test_certificates_are_checked(provider, tmp_path, monkeypatch, capsys):
    url = f"https://localhost:{provider(tls=True).server_port}/v1"
    status, out = check(tmp_path, monkeypatch, capsys, url)
    assert status == 1
    assert "TLS with localhost" in out
    ca = tmp_path / "provider" / "ca.pem"
    assert check(tmp_path, monkeypatch, capsys, url, extra=f", upstream_ca: {ca}")[0] == 0


def test_ports_that_are_taken_and_providers_that_are_not_there(tmp_path, monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, out = check(tmp_path, monkeypatch, capsys, "http://127.0.0.1:1/v1")
        assert status == 1
        assert "cannot be reached: ConnectionRefusedError" in out
        monkeypatch.setenv("EXTPROC_GATEWAY__PORT", str(port))
        _, out = check(tmp_path, monkeypatch, capsys, "http://127.0.0.1:1/v1")
        assert f"FAIL  gateway.port: port {port} of 127.0.0.1 is taken" in out
        assert check(tmp_path, monkeypatch, capsys, "http://nowhere.invalid/v1")[0] == 1
