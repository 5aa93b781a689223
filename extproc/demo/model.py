"""The built-in fake model: a small HTTP server that speaks OpenAI chat completions, streamed and not.

It says what it was sent, so that one sees what a provider would have seen, and names an e-mail address, cut over
several events, so that one sees what a client gets.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

import orjson

from extproc.demo.server import Server, chunk, event

_ANSWER: Final = "Of course. Please write to jane.doe@example.com, she will help you with the rest."
_TOKENS: Final = re.compile(r"jane|\.doe|@exam|ple|\.com|\s?[^\s@]{1,8}|\s")


def tokens(text: str) -> list[str]:
    """Cut a text the way models do: words with their leading blank, and rarer words in parts."""
    return _TOKENS.findall(text)


class FakeModel(Server):
    """The server.

    Args:
        pace: seconds between events.
        told: called with each piece of text at the moment it is sent.
    """

    def __init__(self, pace: float = 0.03, told: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self._pace = pace
        self._told = told

    async def answer(self, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
        """See ``Server``."""
        request: dict[str, Any] = orjson.loads(body) if body else {}
        text = _said(request)
        if request.get("stream"):
            await self._stream(writer, request, text)
            return
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        whole = orjson.dumps({**_head(request, "chat.completion"), "choices": [choice], "usage": _usage(request, text)})
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(whole) + whole)
        await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter, request: dict[str, Any], text: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        self._event(writer, request, {"role": "assistant", "content": ""})
        for token in tokens(text):
            await writer.drain()
            await asyncio.sleep(self._pace)
            if self._told:
                self._told(token)
            self._event(writer, request, {"content": token})
        self._event(writer, request, {}, "stop")
        last = {**_head(request, "chat.completion.chunk"), "choices": [], "usage": _usage(request, text)}
        chunk(writer, event(orjson.dumps(last)))
        chunk(writer, event(b"[DONE]"))
        chunk(writer, b"")
        await writer.drain()

    @staticmethod
    def _event(
        writer: asyncio.StreamWriter, request: dict[str, Any], delta: dict[str, str], finish: str | None = None
    ) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk(writer, event(orjson.dumps({**_head(request, "chat.completion.chunk"), "choices": [choice]})))


def _said(request: dict[str, Any]) -> str:
    messages = request.get("messages")
    last = (
        messages[-1].get("content")
        if isinstance(messages, list) and messages and isinstance(messages[-1], dict)
        else ""
    )
    asked = last if isinstance(last, str) else ""
    return f"You said: “{asked[:500]}” {_ANSWER}" if asked else _ANSWER


def _head(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-demo", "object": kind, "created": 1700000000, "model": request.get("model", "demo")}


def _usage(request: dict[str, Any], text: str) -> dict[str, int]:
    asked = len(orjson.dumps(request.get("messages"))) // 4
    return {"prompt_tokens": asked, "completion_tokens": len(tokens(text)), "total_tokens": asked + len(tokens(text))}
