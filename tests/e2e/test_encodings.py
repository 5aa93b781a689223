"""Encodings and framings of answers: compressed, cut, large, empty, with trailers."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.e2e.harness import Case
from tests.e2e.upstream import chunked, completion, events, gzipped, raw, respond


@pytest.mark.parametrize("coding", ["gzip"])
def test_compressed_answer(case: Case, coding: str) -> None:
    case.on(gzipped(completion("Write to jane.doe@example.com")))
    answer = case.post()
    assert answer.content == completion("Write to [email]")
    assert "content-encoding" not in answer.headers
    assert "etag" not in answer.headers


def test_compressed_stream(case: Case) -> None:
    case.on(gzipped(b"".join(events("Write to jane.", "doe@example.com")), media="text/event-stream"))
    got = "".join(each.choices[0].delta.content or "" for each in case.chat(stream=True) if each.choices)
    assert got == "Write to [email]"


@pytest.mark.parametrize("stream", [False, True])
def test_truncated_compressed_answer(plain_case: Case, stream: bool) -> None:
    packed = gzip.compress(b"".join(events("hello there")) if stream else completion())[:-6]
    media = "text/event-stream" if stream else "application/json"
    plain_case.on(respond(200, packed, [("content-type", media), ("content-encoding", "gzip")]))
    answer = plain_case.post(stream=stream)
    assert b"upstream_malformed" in answer.content


def test_compressed_bomb(plain_case: Case) -> None:
    packed = gzip.compress(b'{"x": "' + b"x" * (50 << 20) + b'"}')
    plain_case.on(respond(200, packed, [("content-type", "application/json"), ("content-encoding", "gzip")]))
    answer = plain_case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_too_large")


def test_answer_in_an_unknown_encoding(plain_case: Case) -> None:
    plain_case.on(respond(200, b"whatever", [("content-type", "application/json"), ("content-encoding", "br")]))
    answer = plain_case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_encoding")


def test_a_large_whole_answer_is_refused(plain_case: Case) -> None:
    plain_case.on(respond(200, completion("x" * (1 << 20))))
    answer = plain_case.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_too_large")


def test_a_large_stream_passes(plain_case: Case) -> None:
    sent = events(*(["word " * 200] * 3000))
    plain_case.on(chunked(200, sent))
    answer = plain_case.post(stream=True)
    assert answer.content == b"".join(sent)
    assert len(answer.content) > 3 << 20


@pytest.mark.parametrize("stream", [False, True])
def test_answer_trailers_are_dropped(case: Case, stream: bool) -> None:
    body = events("Hello") if stream else [completion("Hello")]
    media = "text/event-stream" if stream else "application/json"
    case.on(chunked(200, body, [("content-type", media)], trailers=[("x-secret", "jane.doe@example.com")]))
    request = json.dumps(case.body(stream=stream)).encode()
    with case.connect() as sock:
        sock.sendall(case.head("content-type: application/json", f"content-length: {len(request)}", "te: trailers",
                               "connection: close") + request)  # fmt: skip
        got = b""
        while piece := sock.recv(65536):
            got += piece
    assert b"Hello" in got
    assert got.endswith(b"0\r\n\r\n")
    assert b"secret" not in got
    assert b"jane" not in got
    assert case.log()["end"] == "complete"


def test_answer_until_close(plain_case: Case) -> None:
    plain_case.on(
        raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
            completion(),
            then="close",
        )
    )
    assert plain_case.post().content == completion()


def test_204_and_empty_answers(plain_case: Case) -> None:
    plain_case.on(raw(b"HTTP/1.1 204 No Content\r\n\r\n"))
    answer = plain_case.post()
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_malformed"


def test_empty_stream(plain_case: Case) -> None:
    plain_case.on(chunked(200, []))
    answer = plain_case.post(stream=True)
    assert (answer.status_code, answer.content) == (200, b"")
