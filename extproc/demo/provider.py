"""Providers for the scenes: they answer as they are told to, and keep what they were sent. Two formats, as on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from extproc.demo.server import Server, chunk, event

STREAM: Final = "text/event-stream"
_REASONS: Final = {200: "OK", 400: "Bad Request", 429: "Too Many Requests", 500: "Internal Server Error"}


@dataclass(frozen=True, slots=True)
class Request:
    """What a provider was sent."""

    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider says.

    Args:
        pieces: of the body, each sent on its own.
        told: called with the number of a piece before it is sent; what it returns is waited for.
    """

    pieces: Sequence[bytes]
    status: int = 200
    media: str = "application/json"
    told: Callable[[int], Any] | None = None


class Provider(Server):
    """One provider.

    Args:
        reply: what it says to a request.
        pace: seconds between the pieces of an answer.
    """

    def __init__(self, reply: Callable[[Request], Reply], pace: float = 0.0) -> None:
        super().__init__()
        self._reply = reply
        self._pace = pace
        self.requests: list[Request] = []

    async def answer(self, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
        """See ``Server``."""
        request = _read(head, body)
        self.requests.append(request)
        reply = self._reply(request)
        reason = _REASONS[reply.status]
        writer.write(f"HTTP/1.1 {reply.status} {reason}\r\ncontent-type: {reply.media}\r\n".encode())
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for number, piece in enumerate(reply.pieces):
            if reply.told and (wait := reply.told(number)) is not None:
                await wait
            chunk(writer, piece)
            await writer.drain()
            await asyncio.sleep(self._pace)
        chunk(writer, b"")
        await writer.drain()


def _read(head: bytes, body: bytes) -> Request:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(first.split(" ")[1], headers, body, orjson.loads(body) if body else {})


# OpenAI chat completions


def cut(text: str, width: int) -> list[str]:
    """A text in pieces of so many characters."""
    return [text[at : at + width] for at in range(0, len(text), width)]


def chat_events(deltas: Iterable[dict[str, Any]], finish: str = "stop") -> list[bytes]:
    """A stream of chat completion chunks, one event each."""
    events = [_chat_event(delta) for delta in ({"role": "assistant", "content": ""}, *deltas)]
    return [*events, _chat_event({}, finish), event(b"[DONE]")]


def _chat_event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 1700000000, "model": "demo"}
    return event(orjson.dumps({**head, "choices": [choice]}))


def deltas(stream: bytes) -> list[dict[str, Any]]:
    """The deltas of a stream of chat completion chunks, whoever it came from."""
    found = [orjson.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [choice["delta"] for each in found for choice in each.get("choices") or () if choice["delta"]]


def text_of(stream: bytes) -> str:
    """All that such a stream says."""
    return "".join(each.get("content") or "" for each in deltas(stream))


def openai_error(status: int, message: str) -> Reply:
    """A failure in OpenAI's shape."""
    return Reply([orjson.dumps({"error": {"message": message, "type": "server_error", "code": None}})], status)


# Anthropic messages


def message_events(texts: Iterable[str]) -> list[bytes]:
    """A stream of Anthropic's events that says these texts in one block."""
    usage = {"input_tokens": 9, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "msg_demo", "type": "message", "role": "assistant", "model": "demo", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    said = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        block,
        *said,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return [event(orjson.dumps(each), each["type"]) for each in events]
