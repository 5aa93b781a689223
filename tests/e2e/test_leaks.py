"""A hunt for leaks: marked prompts, answers, keys, query strings and header values, in every kind of traffic at once.

None of the marks may be in anything the gateway writes or says of itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.gateway import Running
from tests.e2e.harness import KEYS
from tests.e2e.traffic import envoys, one, workers
from tests.e2e.upstream import (
    DONE,
    Behaviour,
    Upstream,
    chunked,
    completion,
    error,
    event,
    events,
    raw,
    respond,
    silent,
)

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]
PROMPT = "MARKEDPROMPT"
ANSWER = "MARKEDANSWER"
CLIENT = "MARKEDCLIENTKEY"
QUERY = "MARKEDQUERY"
HEADER = "MARKEDHEADER"
MARKS = [PROMPT, ANSWER, CLIENT, QUERY, HEADER, "MARKERKEY", *KEYS.values()]
JSON = [("content-type", "application/json")]


def behaviours() -> dict[str, Behaviour]:
    """Every way a provider can answer, all of them marked."""
    part = event({"content": f"{ANSWER} "})
    return {
        "whole": respond(200, completion(f"{ANSWER} jane-{ANSWER}@leak.example")),
        "stream": chunked(200, events(ANSWER, " jane", f"-{ANSWER}@leak", ".example ")),
        "blocked": respond(200, completion(f"{ANSWER} xyzzy")),
        "blocked-stream": chunked(200, [part, part, event({"content": "xyzzy "}), DONE]),
        "malformed": respond(200, b'{"choices": "' + ANSWER.encode() + b'" x'),
        "malformed-stream": chunked(200, [part, b"data: {" + ANSWER.encode() + b"\n\n", DONE]),
        "not-utf8": chunked(200, [part, b"data: \xff" + ANSWER.encode() + b"\n\n", DONE]),
        "refused-key": error(401, f"Incorrect API key {KEYS['KEY_A']} {ANSWER}"),
        "failed": respond(500, ANSWER.encode(), [("content-type", "text/plain"), ("x-secret", HEADER)]),
        "moved": respond(302, b"", [("location", f"http://127.0.0.1/{ANSWER}?{QUERY}")]),
        "coded": respond(200, ANSWER.encode(), [*JSON, ("content-encoding", ANSWER)]),
        "not-http": raw(f"{ANSWER} {HEADER}\r\n\r\n".encode(), then="close"),
        "bad-header": raw(f"HTTP/1.1 200 OK\r\nbad {HEADER}\r\n\r\n{ANSWER}".encode(), then="close"),
        "reset": chunked(200, [part, part], then="reset"),
        "closed": chunked(200, [part, b"data: {"], then="close"),
        "silent": silent,
        "slow": chunked(200, [part], then="hang"),
    }


def asked(kind: str, text: str, *, stream: bool = False, body: bytes | None = None) -> bytes:
    value = {"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": text}]}
    body = json.dumps(value).encode() if body is None else body
    lines = [
        f"POST /v1/chat/completions?key={QUERY}&api_key={CLIENT} HTTP/1.1",
        "host: x",
        f"x-request-id: leaks-{kind}",
        f"authorization: Bearer sk-{CLIENT}",
        f"x-api-key: {CLIENT}",
        f"x-whatever: {HEADER}",
        f"cookie: session={HEADER}",
        "connection: close",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def requests(kind: str) -> list[bytes]:
    text = f"{PROMPT}, write to joe-{PROMPT}@leak.example"
    stream = "stream" in kind or kind in ("not-utf8", "reset", "closed", "slow")
    return [asked(kind, text, stream=stream)]


OWN = {
    "block": asked("own", f"{PROMPT} xyzzy"),
    "reply": asked("own", f"{PROMPT} tell me a joke"),
    "not-json": asked("own", "", body=b'{"' + PROMPT.encode() + b'": nothing}'),
    "twice": asked("own", "", body=b'{"a": 1, "a": "' + PROMPT.encode() + b'"}'),
    "no-model": asked(
        "own", "", body=b'{"model": "none-' + b"x" * 10 + b'", "messages": [{"content": "MARKEDPROMPT"}]}'
    ),
    "no-http": f"{PROMPT} {HEADER}\r\n\r\n".encode(),
    "bad-path": f"GET /v1/nothing?{QUERY} HTTP/1.1\r\nhost: x\r\ncookie: {CLIENT}\r\nconnection: close\r\n\r\n".encode(),
    "bad-header": f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx y: {HEADER}\r\nconnection: close\r\n\r\n".encode(),
    "too-large": asked("own", PROMPT * 200_000),
    "half": asked("own", PROMPT)[:-10],
}


async def _abandoned(port: int, payload: bytes) -> None:
    """A client that leaves in the middle of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(payload)
    with suppress(TimeoutError, ConnectionError):
        await asyncio.wait_for(reader.read(100), 3)
    writer.transport.abort()


async def _everything(port: int, kinds: list[str]) -> list[tuple[str, bytes]]:
    async def limited(kind: str, payload: bytes) -> tuple[str, bytes]:
        _, seen = await one(port, payload)
        return kind, seen

    tasks = [limited(kind, payload) for kind in kinds for payload in requests(kind) * 2]
    tasks += [limited(f"own {name}", payload) for name, payload in OWN.items() if name != "half"]
    leaving = [_abandoned(port, payload) for kind in ("stream", "slow", "whole") for payload in requests(kind)]
    leaving.append(_abandoned(port, OWN["half"]))
    found = await asyncio.gather(asyncio.gather(*tasks), asyncio.gather(*leaving))
    return list(found[0])


def where(text: str) -> list[str]:
    return [
        f"{mark}: ...{text[max(0, text.index(mark) - 200) : text.index(mark) + 80]}" for mark in MARKS if mark in text
    ]


def said(gateway: Running) -> dict[str, str]:
    """All it writes or says of itself, by where."""
    found = {"log": json.dumps(gateway.lines()), "stderr": gateway.errors()}
    found["access log"] = (gateway.folder / "access.txt").read_text("utf-8", "replace")
    for path in ("/metrics", "/health/readiness", "/health/liveness"):
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.health}{path}", timeout=5) as answer:
            found[path] = answer.read().decode()
    for path in ("/config_dump", "/stats", "/clusters"):
        with urllib.request.urlopen(f"http://{gateway.admin}{path}", timeout=5) as answer:
            found[f"Envoy's {path}"] = answer.read().decode("utf-8", "replace")
    for root in (gateway.run, gateway.folder):
        for file in root.rglob("*"):
            if file.is_file():
                found[str(file)] = file.read_bytes().decode("utf-8", "replace")
    for pid in [gateway.pid, *workers(gateway), *envoys(gateway)]:
        found[f"cmdline of {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    return found


def test_nothing_marked_is_ever_written(start: Start, upstreams: dict[str, Upstream]) -> None:
    gateway = start(
        "leaks",
        processor={"workers": 2, "keep_alive": "500ms"},
        models={"gpt-*": {"backends": ["alpha"], "idle_timeout": "1500ms", "first_byte_timeout": "1500ms"}},
    )
    port, upstream, found = gateway.ports["plain"], upstreams["a"], behaviours()
    for kind, behaviour in found.items():
        upstream.on(f"leaks-{kind}", behaviour)
    answers: list[tuple[str, bytes]] = []
    for number in range(3):
        if number == 1:  # Envoy tells all it does
            with urllib.request.urlopen(
                urllib.request.Request(f"http://{gateway.admin}/logging?level=info", method="POST"), timeout=5
            ) as answer:
                assert answer.status == 200
        if number == 2:
            (gateway.folder / "extproc.yaml").write_text((gateway.folder / "extproc.yaml").read_text() + "\n# again\n")
            os.kill(gateway.pid, signal.SIGHUP)
            os.kill(random.choice(workers(gateway)), signal.SIGKILL)
        answers += asyncio.run(_everything(port, list(found)))
    deadline = time.monotonic() + 10
    while not any(line["event"] == "reloaded" for line in gateway.lines()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.2)  # Envoy writes its access log every second
    texts = said(gateway)
    leaks = {place: where(text) for place, text in texts.items() if where(text)}
    assert not leaks, json.dumps(leaks, indent=1)[:4000]
    ends: dict[str, set[str]] = {}
    for kind, seen in answers:
        text = seen.decode("utf-8", "replace")
        head, _, body = text.partition("\r\n\r\n")
        ends.setdefault(kind, set()).add(head[9:12])
        for secret in (PROMPT, CLIENT, QUERY, "MARKERKEY", "@leak"):
            if kind not in ("failed", "refused-key"):
                assert secret not in text, f"{kind}: {text[:800]}"
        assert "MARKERKEY" not in text, f"{kind}: {text[:800]}"
        if not head.startswith("HTTP/1.1 200"):
            assert ANSWER not in body, f"an error body repeats the provider: {kind}: {text[:800]}"
    print(f"\n{len(answers)} exchanges of {len(ends)} kinds, {len(texts)} places, no mark in any: {ends}")


def test_what_was_redacted_is_not_even_in_envoys_debug_log(start: Start, upstreams: dict[str, Upstream]) -> None:
    """At ``debug``, which we never set, Envoy writes headers, keys and what we tell it; never what it told us."""
    gateway = start("debug", processor={"workers": 1})
    upstream, port = upstreams["a"], gateway.ports["plain"]
    with urllib.request.urlopen(
        urllib.request.Request(f"http://{gateway.admin}/logging?level=debug", method="POST"), timeout=5
    ) as answer:
        assert answer.status == 200
    for kind in ("whole", "stream", "malformed", "blocked"):
        upstream.on(f"leaks-{kind}", behaviours()[kind])
        asyncio.run(one(port, requests(kind)[0]))
    for payload in (OWN["block"], OWN["reply"], OWN["not-json"]):
        asyncio.run(one(port, payload))
    told = gateway.errors()
    assert "[envoy debug]" in told
    found = {mark: told.count(mark) for mark in MARKS}
    print(f"\nEnvoy at debug level: {found}")
    for held in (f"joe-{PROMPT}", f"jane-{ANSWER}", f"{PROMPT} xyzzy", f"{PROMPT} tell me a joke"):
        assert held not in told


def test_the_environment_is_the_only_place_of_keys(start: Start, main: Running) -> None:
    """Nobody else's process list shows a key."""
    shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert not [key for key in KEYS.values() if key in shown]
