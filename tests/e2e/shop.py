"""A front proxy that knows nothing of us (``front_proxy.yaml``), the services behind it, and a processor to attach to it.

Everything is real but the services: Envoy, `extproc serve`, and the commands that an operator would type.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import http.server
import io
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from extproc.cli import main
from extproc.envoy import binary, certificates
from extproc.envoy.process import die_with_parent
from tests.e2e import upstream

_SECRET = b"the identity service signs with this"
_PATIENCE = 20.0
Headers = list[tuple[str, str]]
Found = TypeVar("Found")


def token(**claims: object) -> str:
    """What the identity service would give out."""

    def part(value: object) -> bytes:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    body = {"iss": "https://id.example.com", "aud": "shop", "sub": "ada", "exp": int(time.time()) + 600, **claims}
    signed = part({"alg": "HS256", "kid": "1"}) + b"." + part(body)
    return (signed + b"." + part(hmac.new(_SECRET, signed, hashlib.sha256).digest())).decode()


def waited(what: Callable[[], Found], within: float = _PATIENCE) -> Found:
    """Until there is something; then that."""
    deadline = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Seen:
    """A request as a service got it."""

    method: str
    path: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """All values of one."""
        return ", ".join(value for key, value in self.headers if key == name)


class _Handler(http.server.BaseHTTPRequestHandler):
    """A request header says what the answer is to be: ``x-answer`` is its text, ``x-pieces`` the events of a stream."""

    protocol_version = "HTTP/1.1"
    server: Service  # type: ignore[assignment]

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        if self.headers.get("upgrade") == "websocket":
            self._echo()
            return
        self._see(b"")
        name = f"{self.server.name} has {self.path}. "
        self._answer(200, "application/json", json.dumps({"text": name * 40}).encode())

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        body = self._body()
        self._see(body)
        if not self.path.startswith("/v1/"):
            digest = hashlib.sha256(body).hexdigest()
            self._answer(200, "text/plain", f"{self.server.name} got {len(body)} bytes: {digest}\n".encode() * 4)
        elif pieces := self.headers.get("x-pieces"):
            self._stream(upstream.events(*json.loads(pieces)))
        else:
            self._answer(200, "application/json", upstream.completion(self.headers.get("x-answer") or "Hello."))

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _see(self, body: bytes) -> None:
        found = [(name.lower(), value) for name, value in self.headers.items()]
        self.server.seen.append(Seen(self.command, self.path, found, body))

    def _answer(self, status: int, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, events: list[bytes]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for each in [*events, b""]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(each), each))

    def _echo(self) -> None:
        """As much of a WebSocket as tells whether bytes go both ways."""
        self._see(b"")
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := self.connection.recv(4096):
            self.wfile.write(data.upper())
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Service(http.server.ThreadingHTTPServer):
    """One of the services, and what it has seen."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.seen: list[Seen] = []
        threading.Thread(target=self.serve_forever, daemon=True, name=name).start()

    def handle_error(self, *_: object) -> None:
        """Envoy closes connections as it likes."""


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """All values of one."""
        return ", ".join(value for key, value in self.headers if key == name)

    def stable(self) -> tuple[int, Headers, bytes]:
        """All but what is another in each answer."""
        told = {"date", "x-request-id", "x-envoy-upstream-service-time"}
        return self.status, sorted(each for each in self.headers if each[0] not in told), self.body


class Proxy:
    """An Envoy with a file, listening. ``envoy``: another binary than the installed one."""

    def __init__(self, path: Path, ca: Path, envoy: Path | None = None) -> None:
        self.path, self._ca = path, ca
        admin = path.with_suffix(".admin")
        admin.unlink(missing_ok=True)
        command = [
            str(envoy or binary.find()),
            "-c",
            str(path),
            "--use-dynamic-base-id",
            "--file-flush-interval-msec",
            "50",
            "-l",
            "error",
            "--concurrency",
            "1",
        ]
        with path.with_suffix(".log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--admin-address-path", str(admin)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            )  # fmt: skip
        self.pid = self._process.pid
        waited(lambda: admin.is_file() and admin.read_text())
        self._admin = admin.read_text().strip()
        waited(self._ready)
        found = json.loads(self.asked("/listeners?format=json"))["listener_statuses"]
        self.ports = {each["name"]: each["local_address"]["socket_address"]["port_value"] for each in found}

    def _ready(self) -> bool:
        assert self._process.poll() is None, self.path.with_suffix(".log").read_text()
        try:
            return self.asked("/ready") == b"LIVE\n"
        except OSError:
            return False

    def asked(self, path: str) -> bytes:
        """Of Envoy's admin interface."""
        with urllib.request.urlopen(f"http://{self._admin}{path}", timeout=5) as answer:
            found: bytes = answer.read()
        return found

    def stat(self, name: str) -> int:
        """A counter or gauge."""
        text = self.asked(f"/stats?filter=^{name}$").decode().rpartition(": ")[2].strip()
        return int(text) if text.isdigit() else 0

    def connect(self, listener: str = "edge") -> socket.socket:
        """A connection, with TLS where the listener has it."""
        plain = socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=_PATIENCE)
        if listener != "edge":
            return plain
        return ssl.create_default_context(cafile=str(self._ca)).wrap_socket(plain, server_hostname="localhost")

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None,
        host: str = "shop.example.com", listener: str = "edge",
    ) -> Answer:  # fmt: skip
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(host, timeout=_PATIENCE)
        connection.sock = self.connect(listener)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            found = [(name.lower(), value) for name, value in answer.getheaders()]
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Processor:
    """`extproc serve`, and its log."""

    folder: Path
    lines: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Until it is ready."""
        with (self.folder / "processor.log").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "extproc", "serve", "--run", "."], cwd=self.folder, env=_clean(),
                stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()
        waited(lambda: any('"ready"' in each for each in self.lines))

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as stream:
            self.lines.extend(stream)

    def exchanges(self) -> list[dict[str, Any]]:
        """Its records."""
        return [found for each in list(self.lines) if (found := json.loads(each))["event"] == "exchange"]

    def signal(self, number: signal.Signals) -> None:
        """To all its processes, the one that watches the others first."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with suppress(ProcessLookupError):  # it ended with its parent
                os.kill(pid, number)

    def stop(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self.signal(signal.SIGKILL)  # those that stand still, too
        self._process.wait()


def _clean() -> dict[str, str]:
    named = ("EXTPROC_", "OPENAI_", "ANTHROPIC_", "GEMINI_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(named) and name != "PORT"}
    return {**kept, "EXTPROC_STATE": "state"}


CONFIG: dict[str, Any] = {
    "version": 1,
    "gateway": {"max_body": 8 << 20},
    "processor": {"bind": "unix:w{n}.sock"},
    "health": {"port": None},
    "log": {"format": "json"},
    "guard": {"unknown": "pass", "prefixes": ["/llm"]},
    "policies": {
        "emails": {"kind": "pii", "find": ["email"], "action": "redact"},
        "forbidden": {"kind": "wordlist", "words": ["xyzzy"], "action": "block"},
    },
}


class Shop:
    """All of it in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        cert, key, self.ca = certificates.ensure(folder / "tls")
        self.catalog, self.orders, self.models = Service("catalog"), Service("orders"), Service("models")
        jwks = {"keys": [{"kty": "oct", "alg": "HS256", "kid": "1", "k": _k()}]}
        values = {
            "EDGE": 0, "PLAIN": 0, "CERT": cert, "KEY": key, "JWKS": json.dumps(jwks),
            **{each.name.upper(): each.server_port for each in (self.catalog, self.orders, self.models)},
        }  # fmt: skip
        text = Path(__file__).with_name("front_proxy.yaml").read_text("utf-8")
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        self.original = text.encode()
        (folder / "extproc.yaml").write_text(json.dumps(CONFIG), "utf-8")  # JSON is YAML
        self.processor = Processor(folder)

    def file(self, name: str, *render: str) -> Path:
        """The proxy's file; with what `extproc render envoy` does to it."""
        path = self.folder / f"{name}.yaml"
        path.write_bytes(self.original)
        if render:
            self.render(*render, "--merge-into", str(path), "--in-place")
        return path

    def render(self, *arguments: str) -> None:
        """What the command does; in this process, which has loaded everything already."""
        folder = str(self.folder)
        common = ("--run", folder, "--config", f"{folder}/extproc.yaml")
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as errors:
            status = main(["render", "envoy", *common, *arguments])
        assert status == 0, errors.getvalue()

    @contextmanager
    def proxy(self, name: str, *render: str, envoy: Path | None = None) -> Iterator[Proxy]:
        """An Envoy with such a file."""
        proxy = Proxy(self.file(name, *render), self.ca, envoy)
        try:
            yield proxy
        finally:
            proxy.stop()

    def close(self) -> None:
        """End the processor and the services."""
        self.processor.stop()
        for each in (self.catalog, self.orders, self.models):
            each.shutdown()
            each.server_close()


def _k() -> str:
    return base64.urlsafe_b64encode(_SECRET).rstrip(b"=").decode()


def chat(text: str, **more: object) -> bytes:
    """A request to the models."""
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}).encode()
