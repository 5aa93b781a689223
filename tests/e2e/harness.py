"""What the tests use: the usual configuration, one ``Case`` a test, and raw answers."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai

from tests.e2e.gateway import Running
from tests.e2e.upstream import Behaviour, Received, Upstream

KEYS = {
    "KEY_A": "sk-provider-a-MARKERKEYA0123456789",
    "KEY_B": "sk-provider-b-MARKERKEYB0123456789",
    "KEY_C": "sk-provider-c-MARKERKEYC0123456789",
}
CLIENT_KEY = "sk-client-MARKERCLIENT"
MAX_BODY = 1 << 20
FAILOVERS = 24
Start = Callable[..., Running]
_ids = itertools.count()


def free_port() -> int:
    """A port nobody listens on (bound and closed: the kernel gives it to no one else soon)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


POLICIES: dict[str, Any] = {
    "emails": {"kind": "pii", "find": ["email"], "action": "redact"},
    "forbidden": {"kind": "wordlist", "words": ["xyzzy", "blue moon"], "action": "block"},
    "joke": {"kind": "wordlist", "words": ["tell me a joke"], "action": "reply", "phase": "request",
             "reply": "No jokes here."},
    "watched": {"kind": "wordlist", "words": ["plugh"], "action": "audit"},
    "would-block": {"kind": "wordlist", "words": ["frotz"], "action": "block", "mode": "audit"},
}  # fmt: skip


def config(upstreams: dict[str, Upstream], ca: Path, **changes: Any) -> dict[str, Any]:
    """The configuration most tests use."""
    plain = {"type": "openai-compatible", "keys": "env:KEY_A"}
    a, b = upstreams["a"].port, upstreams["b"].port
    tls_a, tls_b = upstreams["tls_a"].port, upstreams["tls_b"].port
    quick = {"first_byte_timeout": "300ms", "idle_timeout": "600ms"}
    value: dict[str, Any] = {
        "version": 1,
        "health": {"port": 0},
        "processor": {"transport": os.environ.get("EXTPROC_TEST_TRANSPORT", "auto")},
        "gateway": {"drain": "1s", "port": 0, "plain_port": 0, "max_body": MAX_BODY, "upstream_ca": str(ca)},
        "providers": {
            "alpha": {**plain, "base_url": f"http://127.0.0.1:{a}/v1"},
            "beta": {**plain, "base_url": f"http://127.0.0.1:{b}/other/v2/", "keys": ["env:KEY_B"]},
            "mine": {**plain, "base_url": f"http://127.0.0.1:{a}/v1", "keys": "client"},
            "turns": {**plain, "base_url": f"http://127.0.0.1:{a}/v1", "keys": ["env:KEY_A", "env:KEY_C"]},
            "nokey": {**plain, "base_url": f"http://127.0.0.1:{a}/v1", "keys": "none"},
            "gone": {**plain, "base_url": f"http://127.0.0.1:{free_port()}/v1"},
            "secure": {**plain, "base_url": f"https://localhost:{tls_a}/v1"},
            "numeric": {**plain, "base_url": f"https://127.0.0.1:{tls_b}/v1", "keys": "env:KEY_B"},
            "wrong-name": {**plain, "base_url": f"https://127.0.0.1:{tls_a}/v1"},
        },
        "models": {
            "gpt-*": "alpha",
            "named": "alpha/real-name",
            "alpha/*": "alpha",
            "mine": "mine",
            "nokey": "nokey",
            "turns": "turns",
            "gone": "gone",
            "secure": "secure",
            "wrong-name": "wrong-name",
            "quick": {"backends": ["alpha"], **quick},
            "quick-pair": {"backends": ["alpha/one", "beta/two"], **quick},
            "gone-pair": ["gone/one", "beta/two"],
            "tls-pair": ["secure/one", "numeric/two"],
            "mixed-pair": ["numeric/one", "alpha/two"],
            "weighted": [{"use": "alpha/one", "weight": 1}, {"use": "beta/two", "weight": 1}],
            "weighted-too": [{"use": "alpha/one", "weight": 3}, {"use": "beta/two", "weight": 1}],
            # each its own cluster, so that no test meets the ejections of another
            **{f"pair-{number}": ["alpha/one", "beta/two"] for number in range(FAILOVERS)},
        },
        "policies": POLICIES,
    }
    for key, change in changes.items():
        value[key] = {**value[key], **change} if isinstance(value.get(key), dict) and change else change
    return value


class Case:
    """One test's view of a gateway and the fakes behind it."""

    def __init__(self, gateway: Running, upstreams: dict[str, Upstream], *, tls: bool) -> None:
        self.gateway = gateway
        self.upstreams = upstreams
        self.tls = tls
        self.id = f"case-{os.getpid()}-{next(_ids)}"
        self._clients: list[httpx.Client | openai.OpenAI] = []
        self._before = {name: len(each.requests) for name, each in upstreams.items()}

    # the providers' side

    def on(self, *behaviours: Behaviour, at: str = "a") -> None:
        self.upstreams[at].on(self.id, *behaviours)

    def received(self, at: str = "a") -> list[Received]:
        return self.upstreams[at].of(self.id)

    def one(self, at: str = "a") -> Received:
        found = self.received(at)
        assert len(found) == 1, f"{at} received {len(found)} requests"
        return found[0]

    def nothing_sent(self) -> None:
        """No provider received anything since the test began, under whatever id."""
        sent = {name: len(each.requests) - self._before[name] for name, each in self.upstreams.items()}
        assert not any(sent.values()), f"requests reached providers: {sent}"

    # the client's side

    @property
    def base(self) -> str:
        return self.gateway.url(tls=self.tls)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.gateway.ca)

    def client(self, *, http2: bool = False, **options: Any) -> httpx.Client:
        client = httpx.Client(
            base_url=self.base, verify=self.context() if self.tls else False, http2=http2, timeout=20, trust_env=False,
            headers={"x-request-id": self.id, "authorization": f"Bearer {CLIENT_KEY}"}, **options,
        )  # fmt: skip
        self._clients.append(client)
        return client

    def body(self, text: str = "Hello", model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
        """A chat request; one for a stream asks for its usage, which the gateway otherwise does (see test_usage)."""
        asked = {"stream_options": {"include_usage": True}} if more.get("stream") is True else {}
        return {"model": model, "messages": [{"role": "user", "content": text}], **asked, **more}

    def post(
        self, text: str = "Hello", *, path: str = "/v1/chat/completions", http2: bool = False, **more: Any
    ) -> httpx.Response:
        """One chat request. ``headers``, ``content`` and ``params`` as httpx takes them, the rest goes into the body."""
        options = {name: more.pop(name) for name in ("headers", "content", "params") if name in more}
        if "content" in options:
            options["headers"] = {"content-type": "application/json", **options.get("headers", {})}
        else:
            options["json"] = self.body(text, **more)
        return self.client(http2=http2).post(path, **options)

    def sdk(self, **options: Any) -> openai.OpenAI:
        client = openai.OpenAI(
            base_url=f"{self.base}/v1", api_key=CLIENT_KEY, max_retries=0, timeout=20,
            default_headers={"x-request-id": self.id},
            http_client=openai.DefaultHttpxClient(verify=self.context() if self.tls else False, trust_env=False),
            **options,
        )  # fmt: skip
        self._clients.append(client)
        return client

    def chat(self, text: str = "Hello", model: str = "gpt-4o", **more: Any) -> Any:
        """By the SDK."""
        return self.sdk().chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)

    def log(self) -> dict[str, Any]:
        return self.gateway.exchange(self.id)

    def close(self) -> None:
        for each in self._clients:
            each.close()

    # below HTTP libraries

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.gateway.port(tls=self.tls)), timeout=15)
        return self.context().wrap_socket(sock, server_hostname="localhost") if self.tls else sock

    def raw(self, data: bytes) -> Answer:
        """Send bytes, read one answer."""
        with self.connect() as sock:
            sock.sendall(data)
            return read_answer(sock)

    def head(
        self, *lines: str, target: str = "/v1/chat/completions", method: str = "POST", version: str = "1.1"
    ) -> bytes:
        """A request head for ``raw``."""
        all_ = [f"{method} {target} HTTP/{version}", "host: localhost", f"x-request-id: {self.id}", *lines]
        return "\r\n".join([*all_, "", ""]).encode("latin-1")


class Answer:
    """What came back on a raw socket; ``status`` 0: nothing did."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.content = body
        self.cut = cut

    def json(self) -> Any:
        return json.loads(self.content)


def read_answer(sock: socket.socket, method: str = "POST") -> Answer:
    response = http.client.HTTPResponse(sock, method=method)
    try:
        response.begin()
    except (http.client.RemoteDisconnected, ConnectionError, http.client.BadStatusLine):
        response.close()
        return Answer(0, [], b"", cut=True)
    cut = False
    body = b""
    try:
        body = response.read()
    except http.client.IncompleteRead as error:
        body, cut = error.partial, True
    except ConnectionError:
        cut = True
    finally:
        response.close()
    return Answer(response.status, response.getheaders(), body, cut=cut)


def eventually(condition: Callable[[], Any], timeout: float = 5) -> Any:
    """Poll until true; returns it."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)
    return value
