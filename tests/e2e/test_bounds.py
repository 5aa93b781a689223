"""Bounds: what is too large, too many or too deep costs its own exchange only, and never much memory."""

from __future__ import annotations

import json
import select
import socket
import zlib
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.e2e.bounds import LARGE, STREAM, bounded, measured
from tests.e2e.faults import MIB
from tests.e2e.gateway import Running
from tests.e2e.harness import Answer, Case, read_answer
from tests.e2e.upstream import DONE, Upstream, Wire, chunked, completion, event, respond

pytestmark = [pytest.mark.envoy, pytest.mark.faults, pytest.mark.timeout(900 if LARGE > 10 else 300)]


@pytest.fixture
def case(bounds: Running, upstreams: dict[str, Upstream]) -> Iterator[Case]:
    yield from bounded(bounds, upstreams)


def send_all(sock: socket.socket, parts: Iterator[bytes]) -> int:
    """Send for as long as the other side takes it and has not answered; returns how many bytes."""
    sent = 0
    with suppress(ConnectionError):
        for part in parts:
            sock.sendall(part)
            sent += len(part)
            if select.select([sock], [], [], 0)[0]:
                break
    return sent


def code(answer: Answer) -> str:
    return str(answer.json()["error"]["code"])


# requests


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_request_of_a_gibibyte(case: Case, framing: str) -> None:
    def parts() -> Iterator[bytes]:
        piece = b"x" * (1 << 18)
        for _ in range(1 << 12):
            yield piece if framing == "length" else b"%x\r\n" % len(piece) + piece + b"\r\n"

    line = f"content-length: {1 << 30}" if framing == "length" else "transfer-encoding: chunked"
    with measured(case.gateway, f"1 GiB request, {framing}") as memory, case.connect() as sock:
        sock.sendall(case.head("content-type: application/json", line))
        sent = send_all(sock, parts())
        answer = read_answer(sock)
    assert sent < 64 * MIB, "it was taken in although it had to be refused"
    if answer.status:  # else the reset was faster than the answer
        assert (answer.status, code(answer)) == (413, "too_large")
    assert case.gateway.access(case.id)["status"] == 413
    assert memory.peak["envoy"] <= memory.before["envoy"] + 64 * MIB
    case.nothing_sent()


@pytest.mark.parametrize("http2", [False, True])
def test_a_request_almost_as_large_as_allowed(bounds: Running, upstreams: dict[str, Upstream], http2: bool) -> None:
    case = Case(bounds, upstreams, tls=True)
    with measured(bounds, f"7 MiB request over HTTP/{2 if http2 else 1}"):
        for text in ("words " * (7 * MIB // 6), "words " * (7 * MIB // 6) + "jane@example.com"):
            answer = case.post(text, http2=http2)
            assert answer.status_code == 200, answer.text
    assert [len(each.body) > 7 * MIB for each in case.received()] == [True, True]
    assert b"jane@" not in case.received()[1].body
    case.close()


def bomb(size: int) -> bytes:
    """Zeros, gzipped."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(size // MIB)), packer.flush()])


def test_a_gzip_bomb_as_request(case: Case) -> None:
    packed = bomb(512 * MIB)
    with measured(case.gateway, f"gzip bomb as request, {len(packed)} bytes for 512 MiB"):
        answer = case.post(content=packed, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    case.nothing_sent()


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_json_nested_a_hundred_thousand_deep(case: Case, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    nested = opening * 100_000 + "1" + closing * 100_000
    with measured(case.gateway, f"request nested 100k deep by {opening}"):
        answer = case.post(content=f'{{"model": "gpt-4o", "messages": {nested}}}'.encode())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
    case.nothing_sent()


def test_ten_thousand_headers(case: Case) -> None:
    body = json.dumps(case.body()).encode()
    lines = ["content-type: application/json", f"content-length: {len(body)}", *(f"x-{n}: {n}" for n in range(10_000))]
    with measured(case.gateway, "10k request headers"):
        answer = case.raw(case.head(*lines) + body)
    assert (answer.status, code(answer)) == (431, "headers_too_large")
    case.nothing_sent()


# answers


def test_an_event_without_an_end(case: Case) -> None:
    async def endless(wire: Wire) -> None:
        await wire.head(200, STREAM)
        await wire.chunk(event({"content": "Well. "}))
        for _ in range(1024):
            await wire.chunk(b"x" * (1 << 16))
        await wire.send(b"0\r\n\r\n")

    case.on(endless)
    with measured(case.gateway, "64 MiB stream without a newline"):
        answer = case.post(stream=True)
    assert b"xxxx" not in answer.content
    assert b'data: {"error"' in answer.content
    assert b"upstream_too_large" in answer.content
    assert b"upstream_too_large" in answer.content[-300:], "the error is the last thing said"
    assert case.one().sent < 32 * MIB, "the provider was read on"


def test_an_event_without_an_end_before_anything_else(case: Case) -> None:
    async def endless(wire: Wire) -> None:
        await wire.head(200, STREAM)
        for _ in range(1024):
            await wire.chunk(b"x" * (1 << 16))
        await wire.send(b"0\r\n\r\n")

    case.on(endless)
    answer = case.post(stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_too_large")


def test_a_whole_answer_of_64_mib(case: Case) -> None:
    async def endless(wire: Wire) -> None:
        await wire.head(200, [("content-type", "application/json"), ("transfer-encoding", "chunked")])
        await wire.chunk(b'{"choices": "')
        for _ in range(1024):
            await wire.chunk(b"x" * (1 << 16))
        await wire.chunk(b'"}')
        await wire.send(b"0\r\n\r\n")

    case.on(endless)
    with measured(case.gateway, "64 MiB whole answer"):
        answer = case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_too_large")


def test_a_stream_of_128_choices_interleaved(case: Case) -> None:
    pieces = ["Ask ", "jane", "@ex", "ample", ".com", " or ", "wait", ". "]
    count = 128
    parts = [event({"content": piece}, index=n) for _ in range(10) for piece in pieces for n in range(count)]
    parts += [event({}, "stop", index=n) for n in range(count)]
    case.on(chunked(200, [b"".join(parts[at : at + 64]) for at in range(0, len(parts), 64)] + [DONE]))
    with measured(case.gateway, "128 choices interleaved"):
        answer = case.post(stream=True, n=count)
    texts = [""] * count
    for line in answer.text.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                texts[choice["index"]] += choice["delta"].get("content", "")
    assert set(texts) == {"Ask [email] or wait. " * 10}
    assert answer.content.endswith(DONE)


def test_a_gzip_bomb_as_answer(case: Case) -> None:
    case.on(respond(200, bomb(512 * MIB), [("content-type", "application/json"), ("content-encoding", "gzip")]))
    with measured(case.gateway, "gzip bomb as answer"):
        answer = case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_too_large")


def test_a_gzip_bomb_as_stream(case: Case) -> None:
    case.on(respond(200, bomb(512 * MIB), [("content-type", "text/event-stream"), ("content-encoding", "gzip")]))
    with measured(case.gateway, "gzip bomb as stream"):
        answer = case.post(stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_too_large")


def test_answers_nested_a_hundred_thousand_deep(case: Case) -> None:
    nested = b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    case.on(respond(200, nested), chunked(200, [event({"content": "Well. "}), b"data: " + nested + b"\n\n", DONE]))
    with measured(case.gateway, "answers nested 100k deep"):
        whole, streamed = case.post(), case.post(stream=True)
    assert (whole.status_code, whole.json()["error"]["code"]) == (502, "upstream_malformed")
    assert b"[[[" not in streamed.content
    assert b"upstream_malformed" in streamed.content


def test_an_answer_with_ten_thousand_headers(case: Case) -> None:
    case.on(
        respond(200, completion(), [("content-type", "application/json"), *((f"x-{n}", "v") for n in range(10_000))])
    )
    with measured(case.gateway, "10k answer headers"):
        answer = case.post()
    assert answer.status_code in (502, 503)
    assert "error" in answer.json()
