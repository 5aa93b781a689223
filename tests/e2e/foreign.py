"""Fake providers of several kinds, each strict about what it is sent; their answers are written out here by hand.

Sources: API references of OpenAI (chat completions, responses), Anthropic (messages), Google (Gemini API), Amazon Bedrock
(Converse, ConverseStream) and Azure OpenAI. Nothing here is made with the gateway's own encoders.
"""

from __future__ import annotations

import binascii
import datetime
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from extproc.errors import Refused
from extproc.providers import sigv4
from tests.e2e.upstream import ALLOWED, Behaviour, Pairs, Received, Upstream, chunked, respond

VERSION = "2024-10-21"
SSE = "text/event-stream"
AWS = "application/vnd.amazon.eventstream"
INPUT, OUTPUT, CACHED = 11, 7, 3


@dataclass(frozen=True)
class Shape:
    """How a format's answers look. ``opening`` and ``closing`` are the events around the texts."""

    name: str
    media: str
    opening: tuple[bytes, ...]
    closing: tuple[bytes, ...]

    def text(self, text: str) -> bytes:
        """One event of a stream."""
        return _TEXTS[self.name](text)

    def stream(self, *texts: str) -> list[bytes]:
        """A whole stream."""
        return [*self.opening, *map(self.text, texts), *self.closing]

    def whole(self, text: str) -> bytes:
        """An answer that is no stream."""
        return json.dumps(_WHOLES[self.name](text)).encode()

    def error(self, status: int, message: str) -> bytes:
        """The body of an error."""
        return json.dumps(_ERRORS[self.name](status, message)).encode()

    def failure(self, message: str) -> bytes:
        """An error in the middle of a stream."""
        return _FAILURES[self.name](message)

    def streams(self, parts: Iterable[Any], then: str = "end", media: str | None = None) -> Behaviour:
        """Answers with these pieces of a stream."""
        return chunked(200, parts, [("content-type", self.media if media is None else media)], then=then)

    def fails(self, status: int, message: str = "provider's words", headers: Pairs | None = None) -> Behaviour:
        """Answers with an error."""
        return respond(status, self.error(status, message), [("content-type", "application/json"), *(headers or [])])


def sse(value: Any, name: str = "") -> bytes:
    """An event with JSON for data."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


def named(value: dict[str, Any]) -> bytes:
    """An event whose type is also its name."""
    return sse(value, value["type"])


def frame(name: str, value: dict[str, Any], kind: str = "event") -> bytes:
    """A message of an AWS event stream."""
    texts = [
        (":exception-type" if kind == "exception" else ":event-type", name),
        (":content-type", "application/json"),
        (":message-type", kind),
    ]
    headers = b"".join(
        struct.pack(">B", len(key)) + key.encode() + struct.pack(">BH", 7, len(text)) + text.encode()
        for key, text in texts
    )
    payload = json.dumps(value).encode()
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = lengths + struct.pack(">I", binascii.crc32(lengths)) + headers + payload
    return body + struct.pack(">I", binascii.crc32(body))


# OpenAI chat completions

CHAT_USAGE = {
    "prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT,
    "prompt_tokens_details": {"cached_tokens": CACHED},
}  # fmt: skip


def _chunk(choices: list[Any], **more: Any) -> bytes:
    head = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o"}
    return sse({**head, "choices": choices, **more})


def _delta(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _chunk([{"index": 0, "delta": delta, "finish_reason": finish}], usage=None)


def _chat(text: str) -> Any:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {"id": "chatcmpl-9", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": CHAT_USAGE}  # fmt: skip


CHAT_USED = _chunk([], usage=CHAT_USAGE)
CHAT = Shape(
    "chat",
    SSE,
    (_delta({"role": "assistant", "content": ""}),),
    (_delta({}, "stop"), CHAT_USED, b"data: [DONE]\n\n"),
)


def _openai_error(status: int, message: str) -> Any:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": f"code_{status}"}}


# OpenAI responses

_RESPONSES_USAGE = {
    "input_tokens": INPUT, "input_tokens_details": {"cached_tokens": CACHED}, "output_tokens": OUTPUT,
    "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": INPUT + OUTPUT,
}  # fmt: skip


def _response(text: str | None, status: str) -> dict[str, Any]:
    output = [] if text is None else [_message(text, "completed")]
    return {"id": "resp_9", "object": "response", "created_at": 1_700_000_000, "status": status, "error": None,
            "incomplete_details": None, "instructions": None, "model": "gpt-4o", "output": output, "tools": [],
            "parallel_tool_calls": True, "tool_choice": "auto", "temperature": 1.0, "top_p": 1.0, "metadata": {},
            "usage": None if text is None else _RESPONSES_USAGE}  # fmt: skip


def _message(text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_9", "role": "assistant", "status": status, "content": content}


_AT = {"item_id": "msg_9", "output_index": 0, "content_index": 0}


def _responses_closing(text: str) -> tuple[bytes, ...]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return (
        named({"type": "response.output_text.done", "sequence_number": 90, **_AT, "text": text}),
        named({"type": "response.content_part.done", "sequence_number": 91, **_AT, "part": part}),
        named({"type": "response.output_item.done", "sequence_number": 92, "output_index": 0,
               "item": _message(text, "completed")}),
        named({"type": "response.completed", "sequence_number": 93, "response": _response(text, "completed")}),
    )  # fmt: skip


class _Responses(Shape):
    """The last events say everything again."""

    def stream(self, *texts: str) -> list[bytes]:
        return [*self.opening, *map(self.text, texts), *_responses_closing("".join(texts))]


RESPONSES = _Responses(
    "responses",
    SSE,
    (
        named({"type": "response.created", "sequence_number": 0, "response": _response(None, "in_progress")}),
        named({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0,
               "item": _message(None, "in_progress")}),
        named({"type": "response.content_part.added", "sequence_number": 2, **_AT,
               "part": {"type": "output_text", "text": "", "annotations": []}}),
    ),
    _responses_closing(""),
)  # fmt: skip


# Anthropic messages


def _anthropic(text: str) -> Any:
    usage = {"input_tokens": INPUT - CACHED, "cache_creation_input_tokens": 0, "cache_read_input_tokens": CACHED,
             "output_tokens": OUTPUT}  # fmt: skip
    return {"id": "msg_9", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None,
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}  # fmt: skip


MESSAGE_START = named({
    "type": "message_start",
    "message": {**_anthropic(""), "content": [], "stop_reason": None,
                "usage": {"input_tokens": INPUT - CACHED, "cache_creation_input_tokens": 0,
                          "cache_read_input_tokens": CACHED, "output_tokens": 1}},
})  # fmt: skip
BLOCK_START = named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
ANTHROPIC = Shape(
    "anthropic",
    SSE,
    (MESSAGE_START, BLOCK_START, named({"type": "ping"})),
    (
        named({"type": "content_block_stop", "index": 0}),
        named({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
               "usage": {"output_tokens": OUTPUT}}),
        named({"type": "message_stop"}),
    ),
)  # fmt: skip

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _anthropic_error(status: int, message: str) -> Any:
    return {"type": "error", "error": {"type": _ANTHROPIC_TYPES.get(status, "api_error"), "message": message}}


# Gemini


def _gemini(text: str, finish: str | None = "STOP", *, usage: bool = True) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    told = {"promptTokenCount": INPUT, "candidatesTokenCount": OUTPUT, "totalTokenCount": INPUT + OUTPUT,
            "cachedContentTokenCount": CACHED}  # fmt: skip
    return {"candidates": [candidate], **({"usageMetadata": told} if usage else {}), "modelVersion": "gemini-2.5-flash",
            "responseId": "resp-9"}  # fmt: skip


GEMINI = Shape("gemini", SSE, (), (sse(_gemini("")),))


def _gemini_error(status: int, message: str) -> Any:
    words = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
    return {"error": {"code": status, "message": message, "status": words.get(status, "INTERNAL")}}


# Bedrock Converse

_BEDROCK_USAGE = {"inputTokens": INPUT - CACHED, "outputTokens": OUTPUT, "totalTokens": INPUT + OUTPUT,
                  "cacheReadInputTokens": CACHED}  # fmt: skip


def _converse(text: str) -> Any:
    return {"output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "stopReason": "end_turn",
            "usage": _BEDROCK_USAGE, "metrics": {"latencyMs": 12}}  # fmt: skip


BEDROCK = Shape(
    "bedrock",
    AWS,
    (frame("messageStart", {"role": "assistant"}),),
    (
        frame("contentBlockStop", {"contentBlockIndex": 0}),
        frame("messageStop", {"stopReason": "end_turn"}),
        frame("metadata", {"usage": _BEDROCK_USAGE, "metrics": {"latencyMs": 12}}),
    ),
)

_TEXTS = {
    "chat": lambda text: _delta({"content": text}),
    "responses": lambda text: named({"type": "response.output_text.delta", "sequence_number": 3, **_AT, "delta": text}),
    "anthropic": lambda text: named(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    ),
    "gemini": lambda text: sse(_gemini(text, None, usage=False)),
    "bedrock": lambda text: frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}),
}
_WHOLES = {
    "chat": _chat,
    "responses": lambda text: _response(text, "completed"),
    "anthropic": _anthropic,
    "gemini": _gemini,
    "bedrock": _converse,
}
_ERRORS = {
    "chat": _openai_error,
    "responses": _openai_error,
    "anthropic": _anthropic_error,
    "gemini": _gemini_error,
    "bedrock": lambda status, message: {"message": message},
}
_FAILURES = {
    "chat": lambda message: sse(_openai_error(500, message)),
    "responses": lambda message: named(
        {"type": "error", "code": "server_error", "message": message, "param": None, "sequence_number": 9}
    ),
    "anthropic": lambda message: named(_anthropic_error(529, message)),
    "gemini": lambda message: sse(_gemini_error(503, message)),
    "bedrock": lambda message: frame("modelStreamErrorException", {"message": message}, "exception"),
}
SHAPES = {each.name: each for each in (CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK)}


# the providers


@dataclass(frozen=True)
class Provider:
    """One kind: what it calls its model, where its key travels, and where what is asked (``{}``: the model)."""

    kind: str
    model: str
    header: str
    prefix: str
    base: str
    targets: dict[tuple[str, bool], str]

    @property
    def key(self) -> str:
        return f"sk-{self.kind}-MARKERKEY{self.kind.upper()}0123456789"

    @property
    def variable(self) -> str:
        return f"KEY_{self.kind.upper()}"

    @property
    def shape(self) -> Shape:
        """What requests of other formats are converted to."""
        return SHAPES[next(iter(self.targets))[0]]

    def configured(self, port: int) -> dict[str, Any]:
        """As the configuration has it."""
        more = {"azure": {"api_version": VERSION}, "bedrock": {"region": "us-east-1"}}.get(self.kind, {})
        return {
            "type": self.kind,
            "base_url": f"http://127.0.0.1:{port}{self.base}",
            "keys": f"env:{self.variable}",
            **more,
        }

    def asked(self, received: Received) -> tuple[Shape, bool] | None:
        """The format of a request, and whether it wants a stream; None where it is no request for this provider."""
        for (name, stream), target in self.targets.items():
            told = received.json().get("stream", False) if name in ("chat", "responses", "anthropic") else stream
            if target == received.target and told is stream:
                return SHAPES[name], stream
        return None


def _both(name: str, target: str) -> dict[tuple[str, bool], str]:
    return {(name, False): target, (name, True): target}


_DEPLOYED = f"/openai/deployments/my-deployment/chat/completions?api-version={VERSION}"
_NOVA = "/model/amazon.nova-lite-v1%3A0"
_FLASH = "/v1beta/models/gemini-2.5-flash"
PROVIDERS = {
    each.kind: each
    for each in (
        Provider("openai", "gpt-4o", "authorization", "Bearer ", "/v1",
                 {**_both("chat", "/v1/chat/completions"), **_both("responses", "/v1/responses")}),
        Provider("anthropic", "claude-sonnet-4-5", "x-api-key", "", "", _both("anthropic", "/v1/messages")),
        Provider("gemini", "gemini-2.5-flash", "x-goog-api-key", "", "",
                 {("gemini", False): f"{_FLASH}:generateContent",
                  ("gemini", True): f"{_FLASH}:streamGenerateContent?alt=sse"}),
        Provider("bedrock", "amazon.nova-lite-v1:0", "authorization", "Bearer ", "",
                 {("bedrock", False): f"{_NOVA}/converse", ("bedrock", True): f"{_NOVA}/converse-stream"}),
        Provider("azure", "my-deployment", "api-key", "", "",
                 {**_both("chat", _DEPLOYED), **_both("responses", f"/openai/responses?api-version={VERSION}")}),
    )
}  # fmt: skip
SECRETS = {"AKIAMARKERKEY": "signed-with-MARKERKEYSECRET0123456789"}
"""Of a provider that is authenticated by signatures: access key ids and secrets."""
_SIGNED = {"x-amz-date", "x-amz-content-sha256"}
_MEANT = {"anthropic": {"anthropic-version", "anthropic-beta"}}
_MUST = {
    "chat": {"model", "messages"},
    "responses": {"model", "input"},
    "anthropic": {"model", "messages", "max_tokens"},
    "gemini": {"contents"},
    "bedrock": {"messages"},
}
_MUST_NOT = {"gemini": {"model", "messages", "stream"}, "bedrock": {"model", "stream", "stream_options"},
             "anthropic": {"stream_options"}}  # fmt: skip


def _is_signed(received: Received) -> bool:
    return (received.header("authorization") or "").startswith("AWS4-")


class Foreign(Upstream):
    """A running fake of one kind: answers in its own format, and notes everything it should not have been told."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        super().__init__(provider.kind)
        self.foreign_keys = tuple(each.key for each in PROVIDERS.values() if each is not provider)

    def _check(self, received: Received, length: list[str], coding: list[str]) -> None:
        provider = self.provider
        meant = _MEANT.get(provider.kind, set()) | (_SIGNED if _is_signed(received) else set())
        allowed = (ALLOWED - {"authorization", "openai-beta"}) | {provider.header} | meant
        wrong = [f"header {name}" for name, _ in received.headers if name not in allowed]
        wrong += [f"{name} twice" for name in allowed if len(received.all(name)) > 1]
        wrong += self._wrong_key(received)
        if len(length) + len(coding) != 1 or received.trailers:
            wrong.append(f"framing: {length} {coding} {received.trailers}")
        if provider.kind == "anthropic" and not received.all("anthropic-version"):
            wrong.append("no anthropic-version")
        everything = repr(received.headers) + received.target + received.body.decode("utf-8", "replace")
        wrong += ["another's key" for key in (*self.foreign_keys, "MARKERCLIENT") if key in everything]
        wrong += self._wrong_body(received)
        self.violations += [f"{self.name}: {received.method} {received.target}: {each}" for each in wrong]

    def _wrong_key(self, received: Received) -> list[str]:
        provider = self.provider
        if provider.kind == "bedrock" and _is_signed(received):
            request = sigv4.Request(received.method, received.target, dict(received.headers), received.body)
            try:
                sigv4.verify(request, SECRETS.get, datetime.datetime.now(datetime.UTC))
            except Refused as refused:
                return [f"its signature: {refused.message}"]
            return []
        found = received.all(provider.header)
        return [] if found == [provider.prefix + provider.key] else [f"its key: {found}"]

    def _wrong_body(self, received: Received) -> list[str]:
        if "multipart" in (received.header("content-type") or ""):
            return []
        try:
            body = received.json()
        except ValueError as error:
            return [f"body: {error}: {received.body!r}"]
        asked = self.provider.asked(received)
        if asked is None:
            return [] if "embeddings" in received.target else ["no such path"]
        name = asked[0].name
        found = [f"no {each}" for each in _MUST[name] - body.keys()]
        found += [f"{each} in the body" for each in _MUST_NOT.get(name, set()) & body.keys()]
        if (
            "model" in _MUST[name]
            and str(body.get("model")).removesuffix("-twins") != self.provider.model
            and self.provider.kind != "azure"
        ):
            found.append(f"the model {body.get('model')}")
        return found

    def _behaviour(self, received: Received) -> Behaviour:
        if self._scripts.get((received.all("x-request-id") or [""])[0]):
            return super()._behaviour(received)
        asked = self.provider.asked(received)
        if asked is None:
            return CHAT.fails(404)
        shape, stream = asked
        if stream:
            return shape.streams(shape.stream(*(f"Hello from | {self.provider.kind}.".split("| "))))
        return respond(200, shape.whole(f"Hello from {self.provider.kind}."))
