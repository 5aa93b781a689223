"""What may come in: operations and their spellings, methods, paths, bodies. Everything else is refused, clearly."""

from __future__ import annotations

import gzip
import json
import zlib

import openai
import pytest

from extproc.operations import Operation, spellings
from tests.e2e.harness import MAX_BODY, Case, read_answer
from tests.e2e.upstream import chunked, events, raw

CHATS = [path for _, path in spellings(Operation.CHAT)]
LISTS = [path for _, path in spellings(Operation.MODELS)]
JSON = "content-type: application/json"


def refused(answer: object, status: int, code: str) -> None:
    assert answer.status_code == status, answer.content  # type: ignore[attr-defined]
    assert answer.headers["content-type"] == "application/json"  # type: ignore[attr-defined]
    error = answer.json()["error"]  # type: ignore[attr-defined]
    assert error["code"] == code
    assert set(error) == {"message", "type", "param", "code"}


# operations


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("stream", [False, True])
def test_every_spelling_of_chat_is_guarded(plain_case: Case, path: str, stream: bool) -> None:
    assert plain_case.post("I am a@example.com", path=path, stream=stream).status_code == 200
    assert plain_case.one().json() == plain_case.body("I am [email]", stream=stream)
    assert plain_case.one().target == "/v1/chat/completions"
    assert plain_case.post("xyzzy", path=path).status_code == 400


@pytest.mark.parametrize("path", LISTS)
def test_every_spelling_of_models(plain_case: Case, path: str) -> None:
    answer = plain_case.client().get(path)
    names = [each["id"] for each in answer.json()["data"]]
    assert "named" in names
    assert not [name for name in names if "*" in name]
    plain_case.nothing_sent()


def test_sdk_lists_models(case: Case) -> None:
    assert "named" in [each.id for each in case.sdk().models.list()]


def test_azure_path(case: Case) -> None:
    answer = case.post("I am a@example.com", path="/openai/deployments/gpt-dep/chat/completions",
                       params={"api-version": "2024-10-21"}, headers={"api-key": "azure-key-MARKERCLIENT"})  # fmt: skip
    assert answer.status_code == 200
    received = case.one()
    assert received.json() == case.body("I am [email]", model="gpt-dep")
    assert received.target == "/v1/chat/completions"
    assert received.header("content-length") == str(len(received.body))
    assert case.log()["model"] == "gpt-dep"


def test_azure_sdk(case: Case) -> None:
    client = openai.AzureOpenAI(
        azure_endpoint=case.base, api_key="azure-key-MARKERCLIENT", api_version="2024-10-21", max_retries=0,
        http_client=openai.DefaultHttpxClient(verify=case.context() if case.tls else False, trust_env=False),
        default_headers={"x-request-id": case.id},
    )  # fmt: skip
    with client:
        answer = client.chat.completions.create(model="gpt-dep", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "Hello."
    assert case.one().json()["model"] == "gpt-dep"


def test_query_strings_stay_here(case: Case) -> None:
    assert case.post(path="/v1/chat/completions?x=1&key=secret").status_code == 200
    assert case.one().target == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/batches"), ("GET", "/v1/responses/resp_1"), ("GET", "/v1/chat/completions"), ("POST", "/v1/models"),
        ("DELETE", "/v1/models/gpt-4o"), ("GET", "/"), ("GET", "/healthz"), ("POST", "/v1/fine_tuning/jobs"),
        ("PUT", "/v1/chat/completions"), ("PATCH", "/v1/chat/completions"), ("HEAD", "/v1/models"),
    ],
)  # fmt: skip
def test_unknown_operations(case: Case, method: str, path: str) -> None:
    answer = case.client().request(method, path, content=b"{}" if method in ("POST", "PUT", "PATCH") else None)
    assert answer.status_code == 404
    if method != "HEAD":
        refused(answer, 404, "unknown_operation")
    case.nothing_sent()
    assert case.log()["error"] == "unknown_operation"


def test_unknown_model(tls_case: Case) -> None:
    refused(tls_case.post(model="claude-9"), 404, "model_not_found")
    tls_case.nothing_sent()


def test_sdk_raises_not_found(tls_case: Case) -> None:
    with pytest.raises(openai.NotFoundError):
        tls_case.sdk().files.list()
    with pytest.raises(openai.NotFoundError):
        tls_case.chat(model="claude-9")
    tls_case.nothing_sent()


# paths: Envoy normalises some, we refuse the rest; what arrives was guarded


TRICKS = [
    "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/./completions", "/v1/x/../chat/completions",
    "/v1/chat/%63ompletions", "/v1/%2e/chat/completions", "/v1/chat/completions/", "/v1/chat/completions//",
    "/V1/chat/completions", "/v1/Chat/Completions", "/v1/chat/completions;x", "/v1/chat/completions;x=1",
    "/v1/chat%2fcompletions", "/v1/chat%2Fcompletions", "/v1%5cchat/completions", "/v1\\chat\\completions",
    "/v1/chat/completions?x=1", "/v1/chat/completions#x", "/v1/chat/completions%00", "/v1/chat/completions%20",
    "/v1/chat/completions.", "/v1/chat/completions%3Fx", "http://localhost/v1/chat/completions", "/v1/chat/completions%23",
    "/openai/deployments/../deployments/gpt-x/chat/completions", "/openai/deployments/gpt%2fx/chat/completions",
    "/openai/deployments/..%2f..%2f/chat/completions",
]  # fmt: skip


@pytest.mark.parametrize("target", TRICKS)
def test_path_tricks_never_pass_a_guard(plain_case: Case, target: str) -> None:
    body = json.dumps(plain_case.body("I am a@example.com")).encode()
    answer = plain_case.raw(plain_case.head(JSON, f"content-length: {len(body)}", target=target) + body)
    assert answer.status in (200, 307, 400, 404), answer.content
    reached = plain_case.received()
    assert (answer.status == 200) is (len(reached) == 1)
    for each in reached:
        assert b"example.com" not in each.body
        assert each.target == "/v1/chat/completions"
    if answer.status in (400, 404):
        assert answer.json()["error"]["code"] in ("unknown_operation", "bad_request")
    blocked = json.dumps(plain_case.body("xyzzy")).encode()
    assert (
        plain_case.raw(plain_case.head(JSON, f"content-length: {len(blocked)}", target=target) + blocked).status != 200
    )
    assert len(plain_case.received()) == len(reached)


# methods


@pytest.mark.parametrize(
    "head",
    [
        ("CONNECT", "api.openai.com:443", ()),
        ("GET", "/v1/chat/completions", ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13",
                                         "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==")),
        ("POST", "/v1/chat/completions", ("connection: upgrade", "upgrade: h2c", "content-length: 0")),
        ("BREW", "/v1/chat/completions", ("content-length: 0",)),
        ("TRACE", "/v1/chat/completions", ()),
    ],
    ids=lambda each: f"{each[0]}-{len(each[2])}",
)  # fmt: skip
def test_odd_methods_end_here(case: Case, head: tuple[str, str, tuple[str, ...]]) -> None:
    method, target, lines = head
    answer = case.raw(case.head(*lines, target=target, method=method))
    assert 400 <= answer.status < 500, (answer.status, answer.content)
    assert answer.json()["error"]["code"]
    case.nothing_sent()


def test_connect_with_a_body_is_not_a_tunnel(plain_case: Case) -> None:
    with plain_case.connect() as sock:
        sock.sendall(plain_case.head(target="localhost:1", method="CONNECT"))
        answer = read_answer(sock)
        assert 400 <= answer.status < 500
    plain_case.nothing_sent()


def test_options_without_cors(case: Case) -> None:
    headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
    answer = case.client().options("/v1/chat/completions", headers=headers)
    assert answer.status_code == 404
    assert "access-control-allow-origin" not in answer.headers
    case.nothing_sent()


def test_options_with_cors(free_case: Case) -> None:
    headers = {"origin": "https://app.example", "access-control-request-method": "POST",
               "access-control-request-headers": "authorization,content-type",
               "access-control-request-private-network": "true"}  # fmt: skip
    answer = free_case.client().options("/v1/chat/completions", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    free_case.nothing_sent()


def test_cors_of_a_stranger(free_case: Case) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = free_case.client().options("/v1/chat/completions", headers=headers)
    assert "access-control-allow-origin" not in answer.headers
    free_case.nothing_sent()


def test_cors_of_an_answer(free_case: Case) -> None:
    answer = free_case.post(headers={"origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-llm-request-id" in answer.headers["access-control-expose-headers"]
    assert free_case.one().header("origin") is None


# sizes


def padded(case: Case, size: int) -> bytes:
    body = json.dumps(case.body("PAD")).encode()
    return body.replace(b"PAD", b"x " * ((size - len(body) + 3) // 2) + b"x" * ((size - len(body) + 3) % 2))


def test_largest_body(case: Case) -> None:
    body = padded(case, MAX_BODY)
    assert len(body) == MAX_BODY
    assert case.post(content=body).status_code == 200
    assert case.one().body == body


def test_one_byte_more(case: Case) -> None:
    refused(case.post(content=padded(case, MAX_BODY + 1)), 413, "too_large")
    case.nothing_sent()


def test_one_byte_more_with_http2(tls_case: Case) -> None:
    refused(tls_case.post(content=padded(tls_case, MAX_BODY + 1), http2=True), 413, "too_large")
    tls_case.nothing_sent()


def test_one_byte_more_in_chunks(plain_case: Case) -> None:
    body = padded(plain_case, MAX_BODY + 1)
    refused(plain_case.post(content=iter([body[:1000], body[1000:]])), 413, "too_large")
    plain_case.nothing_sent()


def test_sdk_raises_for_a_large_body(tls_case: Case) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        tls_case.chat("x" * (MAX_BODY + 1))
    assert raised.value.status_code == 413
    assert raised.value.code == "too_large"


# bodies that are none


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "gpt-4o", "messages": [', b"not json", b'["model"]', b'"x"', b"null",
        b'{"model": "gpt-4o", "model": "gpt-4"}',
        b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "a", "content": "b"}]}',
        b'{"model": "gpt-4o", "n": NaN}', b'{"model": "gpt-4o"} {}', b'{"model": "gpt-4o", "x": "\xff"}',
        b'{"model": "gpt-4o", "x": "\\ud800"}', b'{"model":"gpt-4o","x":' + b"[" * 200 + b"]" * 200 + b"}",
        b"\xef\xbb\xbf{}", b"\x00",
    ],
)  # fmt: skip
def test_malformed_json(plain_case: Case, body: bytes) -> None:
    answer = plain_case.post(content=body)
    refused(answer, 400, "invalid_json")
    assert answer.headers["x-should-retry"] == "false"
    plain_case.nothing_sent()


@pytest.mark.parametrize("model", [None, 5, "", "x" * 201, ["gpt-4o"]])
def test_no_model(plain_case: Case, model: object) -> None:
    refused(plain_case.post(content=json.dumps({"model": model, "messages": []}).encode()), 400, "invalid_model")
    plain_case.nothing_sent()


def test_empty_body(case: Case) -> None:
    refused(case.post(content=b""), 400, "empty_body")
    case.nothing_sent()


def test_empty_chunked_body(case: Case) -> None:
    answer = case.raw(case.head(JSON, "transfer-encoding: chunked") + b"0\r\n\r\n")
    assert answer.status == 400
    assert answer.json()["error"]["code"] in ("empty_body", "invalid_json")
    case.nothing_sent()


def test_a_400_keeps_the_connection(plain_case: Case) -> None:
    body = json.dumps(plain_case.body("xyzzy")).encode()
    request = plain_case.head(JSON, f"content-length: {len(body)}") + body
    with plain_case.connect() as sock:
        for _ in range(3):
            sock.sendall(request)
            assert read_answer(sock).status == 400


def test_request_trailers_do_not_travel(case: Case) -> None:
    body = json.dumps(case.body("I am a@example.com")).encode()
    sent = b"%x\r\n%s\r\n0\r\nx-secret: a@example.com\r\nx-llm-model: other\r\n\r\n" % (len(body), body)
    answer = case.raw(case.head(JSON, "transfer-encoding: chunked", "te: trailers", "trailer: x-secret") + sent)
    assert answer.status == 200
    received = case.one()
    assert received.json() == case.body("I am [email]")
    assert received.trailers == []
    assert received.all("trailer") == received.all("te") == []


def test_trailers_after_an_empty_body(case: Case) -> None:
    answer = case.raw(case.head(JSON, "transfer-encoding: chunked") + b"0\r\nx-t: 1\r\n\r\n")
    assert answer.status == 400
    case.nothing_sent()


@pytest.mark.parametrize(
    ("media", "status"),
    [("application/json; charset=utf-8", 200), ("text/plain", 415), ("application/json; charset=utf-16", 415),
     ("multipart/form-data; boundary=x", 415), ("application/vnd.api+json", 200)],
)  # fmt: skip
def test_media_types(plain_case: Case, media: str, status: int) -> None:
    answer = plain_case.post(content=json.dumps(plain_case.body()).encode(), headers={"content-type": media})
    assert answer.status_code == status
    assert len(plain_case.received()) == (status == 200)


def test_utf16_json_is_refused(plain_case: Case) -> None:
    refused(plain_case.post(content=json.dumps(plain_case.body("a")).encode("utf-16")), 400, "invalid_json")


# encoded requests


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP"])
def test_encoded_request_is_guarded(case: Case, coding: str) -> None:
    pack = gzip.compress if coding.lower() == "gzip" else zlib.compress
    answer = case.post(
        content=pack(json.dumps(case.body("I am a@example.com")).encode()), headers={"content-encoding": coding}
    )
    assert answer.status_code == 200
    received = case.one()
    assert received.json() == case.body("I am [email]")
    assert received.header("content-encoding") is None
    assert received.header("content-length") == str(len(received.body))


def test_encoded_request_without_a_match_is_sent_plain(case: Case) -> None:
    answer = case.post(content=gzip.compress(json.dumps(case.body()).encode()), headers={"content-encoding": "gzip"})
    assert answer.status_code == 200
    assert case.one().json() == case.body()


def test_encoded_request_is_blocked(case: Case) -> None:
    answer = case.post(
        content=gzip.compress(json.dumps(case.body("xyzzy")).encode()), headers={"content-encoding": "gzip"}
    )
    refused(answer, 400, "forbidden")
    case.nothing_sent()


@pytest.mark.parametrize("cut", [1, 10, -1, -8])
def test_truncated_gzip(plain_case: Case, cut: int) -> None:
    packed = gzip.compress(json.dumps(plain_case.body()).encode())[:cut]
    refused(plain_case.post(content=packed, headers={"content-encoding": "gzip"}), 400, "invalid_encoding")
    plain_case.nothing_sent()


def test_gzip_with_a_second_member(plain_case: Case) -> None:
    packed = gzip.compress(json.dumps(plain_case.body()).encode()) + gzip.compress(b"xyzzy")
    refused(plain_case.post(content=packed, headers={"content-encoding": "gzip"}), 400, "invalid_encoding")
    plain_case.nothing_sent()


def test_gzip_bomb(case: Case) -> None:
    bomb = gzip.compress(b'{"model": "gpt-4o", "x": "' + b" " * (200 << 20) + b'"}', 9)
    assert len(bomb) < MAX_BODY
    refused(case.post(content=bomb, headers={"content-encoding": "gzip"}), 413, "too_large")
    case.nothing_sent()


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "x"])
def test_other_encodings(plain_case: Case, coding: str) -> None:
    refused(plain_case.post(headers={"content-encoding": coding}), 415, "unsupported_encoding")
    plain_case.nothing_sent()


# HTTP that is none


@pytest.mark.parametrize(
    "data",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 70000 + b"\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
    ],
    ids=["cl-te", "cl-cl", "bad-header", "huge-header", "no-host", "binary"],
)
def test_broken_http(plain_case: Case, data: bytes) -> None:
    answer = plain_case.raw(data)
    assert answer.status in (400, 431), (answer.status, answer.content)
    assert answer.json()["error"]["code"] in ("bad_request", "headers_too_large")
    plain_case.nothing_sent()


@pytest.mark.parametrize("http2", [False, True])
def test_names_with_underscores_are_dropped(tls_case: Case, http2: bool) -> None:
    assert tls_case.post(headers={"x_forwarded_for": "1.2.3.4", "x_llm_model": "x"}, http2=http2).status_code == 200
    assert not [name for name, _ in tls_case.one().headers if "_" in name]


def test_expect_continue(plain_case: Case) -> None:
    body = json.dumps(plain_case.body()).encode()
    with plain_case.connect() as sock:
        sock.sendall(plain_case.head(JSON, f"content-length: {len(body)}", "expect: 100-continue"))
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert read_answer(sock).status == 200
    assert plain_case.one().json() == plain_case.body()


def test_http10_client(plain_case: Case) -> None:
    body = json.dumps(plain_case.body()).encode()
    answer = plain_case.raw(plain_case.head(JSON, f"content-length: {len(body)}", version="1.0") + body)
    assert answer.status in (200, 426), answer.content
    if answer.status == 426:
        plain_case.nothing_sent()


def test_100_continue_of_a_provider(plain_case: Case) -> None:
    whole = b"".join(events("Hello"))
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    plain_case.on(raw(head + b"content-length: %d\r\n\r\n" % len(whole) + whole))
    answer = plain_case.post(stream=True)
    assert (answer.status_code, answer.content) == (200, whole)


def test_a_later_request_on_the_connection_is_its_own(plain_case: Case) -> None:
    """The second of two pipelined requests is guarded like the first."""
    bodies = [json.dumps(plain_case.body(text)).encode() for text in ("Hello", "I am a@example.com")]
    with plain_case.connect() as sock:
        sock.sendall(b"".join(plain_case.head(JSON, f"content-length: {len(body)}") + body for body in bodies))
        first = sock.makefile("rb")
        assert first.readline().startswith(b"HTTP/1.1 200")
        seen = b""
        while seen.count(b"HTTP/1.1 200") < 1:
            seen += first.readline()
        first.close()
    assert [each.json()["messages"][0]["content"] for each in plain_case.received()] == ["Hello", "I am [email]"]


def test_streaming_flag_does_not_decide(plain_case: Case) -> None:
    """A provider may answer a stream where none was asked for: it is guarded as what it is."""
    plain_case.on(chunked(200, events("a@exam", "ple.com is it")))
    answer = plain_case.post(stream=False)
    assert b"[email]" in answer.content
    assert b"ple.com" not in answer.content
