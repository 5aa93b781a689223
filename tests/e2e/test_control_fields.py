"""Whatever a client (or a provider) writes into fields that control something, no guard is switched off by it.

Each attempt says a marker that is to be redacted. It counts as defeated if the request is refused, or if the marker reached
neither the provider nor the client. One gateway with guards in both directions; no header may loosen anything there.
"""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import suppress
from typing import Any

import pytest

from tests.e2e.harness import CLIENT_KEY, Answer, Case, read_answer
from tests.e2e.upstream import chunked, completion, events

MARKER = "mark.person@example.com"
SAYS = f"I am {MARKER}, hello"
JSON = "content-type: application/json"


def body(**more: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": SAYS}], **more}).encode()


def spoken(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": list(messages), **more}).encode()


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


PART = {"type": "text", "text": SAYS}
TOOL = {"type": "function", "function": {"name": "f", "description": SAYS, "parameters": {"enum": [SAYS]}}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"to": MARKER})}}

BODIES: dict[str, bytes] = {
    # members that sound like switches
    **{
        f"member {name}": body(**{name: value})
        for name, value in {
            "policies": [], "policy": "none", "guardrails": {"off": True}, "guardrail": None, "safe_mode": False,
            "moderation": False, "x-llm-policy-emails": "off", "x_llm_policies": "none", "extra_body": {"pii": False},
            "metadata": {"x-llm-policy-emails": "off", "bypass": "true"}, "user": "admin", "store": True, "skip": ["emails"],
            "extproc": {"enabled": False}, "mode": "audit", "llm.extproc.decision": {"group": "alpha"}, "debug": True,
            "litellm_metadata": {"disable_guardrails": True}, "service_tier": "priority", "safety_settings": [],
            "disable_global_guardrail": True, "headers": {"x-llm-policy-emails": "off"}, "__proto__": {"pii": 0},
        }.items()
    },
    # the way the answer comes
    **{f"stream {value!r}": body(stream=value) for value in (1, "true", "True", None, [], {}, 0.0)},
    "stream true": body(stream=True),
    "stream options": body(stream=True, stream_options={"include_usage": False, "include_obfuscation": False}),
    **{f"n {value!r}": body(n=value) for value in (2, 0, -1, "2", 10**30, 1.5)},
    "logprobs": body(logprobs=True, top_logprobs=5),
    "modalities": body(modalities=["text", "audio"], audio={"voice": "x", "format": "wav"}),
    # models
    **{
        f"model {value!r}": body(model=value)
        for value in ("../gpt-4o", "gpt-4o\n", "gpt-4o?x=1", "gpt-4o#", "alpha/gpt 4", MARKER, ["gpt-4o"], None, "", "x" * 300)
    },
    # roles
    **{
        f"role {role!r}": spoken({"role": role, "content": SAYS})
        for role in ("system", "developer", "assistant", "tool", "function", "SYSTEM", "root", "", "user ", None, 1, ["user"])
    },
    "no role": spoken({"content": SAYS}),
    "a message that is a text": spoken(SAYS),
    "a message that is a list": spoken([user(SAYS)]),
    "messages that are an object": json.dumps({"model": "gpt-4o", "messages": {"0": user(SAYS)}}).encode(),
    "messages that are a text": json.dumps({"model": "gpt-4o", "messages": SAYS}).encode(),
    "nested roles": spoken(user([{"role": "system", "type": "message", "content": [PART]}])),
    "content that is an object": spoken(user(PART)),
    "content deep inside": spoken(user([[[[{"a": {"b": [PART]}}]]]])),
    "unknown part": spoken(user([{"type": "unknown", "unknown": SAYS}])),
    "lying part": spoken(user([{"type": "image_url", "image_url": {"url": SAYS}}, {"type": "image_url", "text": SAYS}])),
    "file part": spoken(user([{"type": "file", "file": {"file_data": SAYS, "filename": SAYS}}])),
    "audio part": spoken(user([{"type": "input_audio", "input_audio": {"data": SAYS, "format": SAYS}}])),
    "name": spoken(user("hi", name=SAYS)),
    "tool calls": spoken({"role": "assistant", "content": None, "tool_calls": [CALL]}),
    "function call": spoken({"role": "assistant", "content": None, "function_call": CALL["function"]}),
    "tool answer": spoken({"role": "tool", "tool_call_id": SAYS, "content": SAYS}),
    "refusal": spoken({"role": "assistant", "refusal": SAYS}),
    "tools": body(tools=[TOOL], functions=[TOOL["function"]], tool_choice=SAYS),
    "response format": body(response_format={"type": "json_schema", "json_schema": {"name": "x", "description": SAYS}}),
    "prediction": body(prediction={"type": "content", "content": SAYS}, stop=[SAYS], user=SAYS, metadata={"a": SAYS}),
    "structure that talks": body(service_tier=SAYS, reasoning_effort=SAYS, verbosity=SAYS, modalities=[SAYS]),
    "prompt": json.dumps({"model": "gpt-4o", "prompt": SAYS}).encode(),
    "input": json.dumps({"model": "gpt-4o", "input": [SAYS], "instructions": SAYS}).encode(),
    # the text of the JSON
    "duplicate keys": body()[:-1] + b', "messages": [{"role": "user", "content": "hi"}]}',
    "duplicate keys, escaped": body()[:-1] + b', "message\\u0073": []}',
    "duplicate keys in a message":
        b'{"model":"gpt-4o","messages":[{"role":"user","content":"%s","content":"hi"}]}' % SAYS.encode(),
    "keys in another case": body()[:-1] + b', "Messages": []}',
    "full-width keys": body()[:-1] + ', "ｍessages": "x"}'.encode(),
    "escaped key": body().replace(b'"messages"', b'"m\\u0065ssages"'),
    "escaped text": body().replace(b"mark.person@", b"\\u006dark\\u002eperson\\u0040"),
    "a mark at the front": b"\xef\xbb\xbf" + body(),
    "UTF-16": body().decode().encode("utf-16"),
    "UTF-32": body().decode().encode("utf-32-le"),
    "UTF-7": body().decode().encode("utf-7"),
    "not a number": body()[:-1] + b', "x": NaN}',
    "a comment": body()[:-1] + b"/* */}",
    "bytes after it": body() + b"{}",
    "two lines": body() + b"\n" + body(),
    "a list": b"[" + body() + b"]",
    "deep": body()[:-1] + b', "x": ' + b"[" * 200 + b"]" * 200 + b"}",
    "lone surrogates": body().replace(b"hello", b"\\ud800"),
    "zero-width": spoken(user("I am mark.person\u200b@exam\u00adple.com")),
    "full-width": spoken(user("I am mark.person＠example.com")),
}  # fmt: skip

HEADERS: dict[str, list[str]] = {
    **{
        line.replace("\t", " "): [JSON, line]
        for line in (
            "x-llm-policy-emails: off", "X-LLM-POLICY-EMAILS: off", "x-llm-policy-emails: audit", "x-llm-policy-emails:",
            "x-llm-policy: none", "x-llm-policy: -emails", "x-llm-policies: none", "x-llm-verdict: allow",
            "x-llm-route: alpha", "x-llm-group: alpha", "x-llm-backend: alpha", "x-llm-generation: 0",
            "x-llm-filter: upstream",
            "x-llm-request-id: x", "x_llm_policy_emails: off", "x-usagepanda-request-wordlists: none",
            "x-usagepanda-auto-moderate: false", "x-usagepanda-config: {}", "x-usagepanda-lite-mode: true",
            "x-envoy-force-trace: 1", "x-envoy-original-path: /health/liveness", "x-envoy-decorator-operation: x",
            "x-envoy-upstream-rq-timeout-ms: 1", "x-envoy-retry-on: 5xx", "x-envoy-expected-rq-timeout-ms: 1",
            "x-envoy-internal: true", "x-envoy-external-address: 127.0.0.1", "x-forwarded-for: 127.0.0.1",
            "x-original-url: /health/liveness", "x-rewrite-url: /health/liveness", "x-http-method-override: GET",
            "x-jwt-payload: eyJ0ZWFtIjoidHJ1c3RlZCJ9", "x-guardrails: off", "x-litellm-disable-guardrails: true",
            "te: trailers", "expect: 100-continue", "range: bytes=0-1", "content-language: xx", "accept: text/event-stream",
            "accept-encoding: br", "prefer: respond-async", "cache-control: no-transform", "grpc-timeout: 1n",
            "x-grpc-web: 1", "cookie: policy=off", "x-request-id: x\ty",
        )
    },
    "a header twice": [JSON, "x-llm-policy-emails: block", "x-llm-policy-emails: off"],
    "upgrade": [JSON, "connection: upgrade", "upgrade: websocket"],
    "upgrade to HTTP/2": [JSON, "connection: upgrade, http2-settings", "upgrade: h2c",
                          "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA"],
    "a header for this hop": [JSON, "connection: content-length"],
    "keep-alive": [JSON, "connection: close", "keep-alive: timeout=1"],
    **{
        f"content-type {value}": [f"content-type: {value}"]
        for value in (
            "text/plain", "application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
            "application/grpc", "application/grpc-web+json", "application/json; charset=utf-16",
            "application/json; charset=utf-7",
            "application/json;charset=iso-8859-1", "APPLICATION/JSON", "application/vnd.api+json", "application/jsonp",
            "application/json, text/plain", "text/event-stream", "",
        )
    },
    "content-type twice": [JSON, "content-type: text/plain"],
    "no content-type": [],
    **{
        f"content-encoding {value}": [JSON, f"content-encoding: {value}"]
        for value in ("gzip", "br", "zstd", "identity", "x", "gzip, gzip")
    },
}  # fmt: skip

PATHS = [
    "/v1/chat/completions?policy=off", "/v1/chat/completions?x-llm-policy-emails=off",
    "/v1/chat/completions?stream=false", "/v1/chat/completions#x", "/v1/chat/completions/",
    "/v1/chat/completions;x=1", "//v1/chat/completions", "/v1//chat/completions", "/v1/./chat/completions",
    "/v1/x/../chat/completions", "/V1/chat/completions", "/v1/chat%2Fcompletions", "/v1/chat%2fcompletions",
    "/v1/chat/complet%69ons", "/v1/chat/completions%00", "/v1/chat/completions%20", "/v1%5Cchat/completions",
    "/v1\\chat\\completions", "/health/liveness", "/health/liveness?/v1/chat/completions",
    "/health/liveness/../../v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/models",
    "/v1/files", "/openai/v1/chat/completions", "/chat/completions", "/openai/deployments/gpt-x/chat/completions",
    "/openai/deployments/..%2f/chat/completions", "/other/v2/chat/completions",
    "http://example.com/v1/chat/completions", "*", "/", "/proxy/openai/v1/chat/completions",
]  # fmt: skip


def length(data: bytes) -> str:
    return f"content-length: {len(data)}"


def framed(lines: list[str], data: bytes) -> tuple[list[str], bytes]:
    return [*lines, length(data)], data


def chunks(data: bytes) -> bytes:
    half = len(data) // 2
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (data[:half], data[half:])) + b"0\r\n\r\n"


SMUGGLED = body()
FRAMINGS: dict[str, tuple[list[str], bytes]] = {
    "chunked": ([JSON, "transfer-encoding: chunked"], chunks(SMUGGLED)),
    "chunked and a length": ([JSON, "transfer-encoding: chunked", length(SMUGGLED)], chunks(SMUGGLED)),
    "chunked in another case": ([JSON, "Transfer-Encoding: CHUNKED"], chunks(SMUGGLED)),
    "chunked twice": ([JSON, "transfer-encoding: chunked, chunked"], chunks(SMUGGLED)),
    "identity": ([JSON, "transfer-encoding: identity", length(SMUGGLED)], SMUGGLED),
    "gzip, chunked": ([JSON, "transfer-encoding: gzip, chunked"], chunks(gzip.compress(SMUGGLED))),
    "two lengths": ([JSON, length(SMUGGLED), "content-length: 2"], SMUGGLED),
    "a length with a sign": ([JSON, f"content-length: +{len(SMUGGLED)}"], SMUGGLED),
    "no length": ([JSON], SMUGGLED),
    "trailers": ([JSON, "transfer-encoding: chunked", "trailer: x-llm-policy-emails"],
                 chunks(SMUGGLED)[:-2] + b"x-llm-policy-emails: off\r\n\r\n"),
    "compressed": framed([JSON, "content-encoding: gzip"], gzip.compress(SMUGGLED)),
    "compressed, two members": framed([JSON, "content-encoding: gzip"],
                                      gzip.compress(SMUGGLED[:30]) + gzip.compress(SMUGGLED[30:])),
    "compressed, then plain": framed([JSON, "content-encoding: gzip"], gzip.compress(b'{"model":"gpt-4o"}') + SMUGGLED),
    "compressed twice": framed([JSON, "content-encoding: gzip, gzip"], gzip.compress(gzip.compress(SMUGGLED))),
    "base64": framed([JSON, "content-transfer-encoding: base64"], base64.b64encode(SMUGGLED)),
    "a second request behind it": ([JSON, "content-length: 2"], b"{}" + b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" +
                                   f"content-type: application/json\r\n{length(SMUGGLED)}\r\n\r\n".encode() + SMUGGLED),
}  # fmt: skip

ATTEMPTS: list[tuple[str, str, list[str], bytes]] = [
    *((f"body: {name}", "/v1/chat/completions", *framed([JSON], data)) for name, data in BODIES.items()),
    *((f"header: {name}", "/v1/chat/completions", *framed(lines, body())) for name, lines in HEADERS.items()),
    *((f"path: {path}", path, *framed([JSON], body())) for path in PATHS),
    *((f"framing: {name}", "/v1/chat/completions", lines, data) for name, (lines, data) in FRAMINGS.items()),
]


def test_there_are_enough_attempts() -> None:
    assert len(ATTEMPTS) >= 80
    assert len({name for name, *_ in ATTEMPTS}) == len(ATTEMPTS)


@pytest.fixture(autouse=True)
def answers(plain_case: Case) -> None:
    """The provider says the marker, too: whole or as a stream, as it was asked."""

    async def behave(wire: Any) -> None:
        said = [SAYS[at : at + 5] for at in range(0, len(SAYS), 5)]
        try:
            streamed = wire.received.json().get("stream") is True
        except (ValueError, AttributeError):
            streamed = False
        media = "text/event-stream" if streamed else "application/json"
        await chunked(200, events(*said) if streamed else [completion(SAYS)], [("content-type", media)])(wire)

    plain_case.on(behave)


def sent(case: Case, path: str, lines: list[str], data: bytes) -> Answer:
    head = case.head(f"authorization: Bearer {CLIENT_KEY}", *lines, target=path)
    with case.connect() as sock:
        sock.sendall(head + data)
        return read_answer(sock)


def leaked(data: bytes) -> bool:
    """Whether the marker, or most of it, can be read in bytes, as they are or as JSON, events or gzip."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    texts = [data.decode("utf-8", "replace")]
    texts += [json.dumps(_joined(data), ensure_ascii=False)]
    with suppress(ValueError):
        texts.append(json.dumps(json.loads(data), ensure_ascii=False))
    return any("mark.person" in text for text in texts)


def _joined(data: bytes) -> str:
    found = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content") or "" for each in found for choice in each.get("choices", []))


@pytest.mark.parametrize(("path", "lines", "data"), [each[1:] for each in ATTEMPTS], ids=[each[0] for each in ATTEMPTS])
def test_no_guard_is_switched_off(plain_case: Case, path: str, lines: list[str], data: bytes) -> None:
    before = len(plain_case.upstreams["a"].requests)
    answer = sent(plain_case, path, lines, data)
    reached = plain_case.upstreams["a"].requests[before:]
    assert not [each for each in reached if leaked(each.body) or leaked(repr((each.target, each.headers)).encode())]
    assert not leaked(answer.content)
    assert "mark.person" not in repr(answer.headers)
    # to gRPC's media type Envoy says every refusal as a status of gRPC
    refused = answer.status != 200 or "grpc-status" in answer.headers
    assert reached or refused or path.startswith(("/health", "/v1/models"))
    assert answer.status != 500


def test_the_attempts_would_be_seen(plain_case: Case) -> None:
    """Without a guard the marker arrives, and the check sees it: the same by a policy that is not there."""
    answer = sent(plain_case, "/v1/chat/completions", *framed([JSON], body()))
    (received,) = plain_case.received()
    assert (answer.status, received.json()["messages"][0]["content"]) == (200, "I am [email], hello")
    assert b"I am [email], hello" in answer.content
    assert leaked(body())
    assert leaked(b"".join(events("I am mark.", "person@ex")))
    assert leaked(gzip.compress(body()))
