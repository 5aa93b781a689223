"""The built-in fake model: a small HTTP server that speaks OpenAI chat completions, streamed and not.

It says what it was sent, so that one sees what a provider would have seen, and names an e-mail address, cut over
several events, so that one sees what a client gets.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import orjson

_ANSWER: Final = "Of course. Please write to jane.doe@example.com, she will help you with the rest."
_TOKENS: Final = re.compile(r"jane|\.doe|@exam|ple|\.com|\s?[^\s@]{1,8}|\s")
_MAX_HEAD: Final = 65536


def tokens(text: str) -> list[str]:
    """Cut a text the way models do: words with their leading blank, and rarer words in parts."""
    return _TOKENS.findall(text)


class FakeModel:
    """The server.

    Args:
        pace: seconds between events.
        told: called with each piece of text at the moment it is sent.
    """

    def __init__(self, pace: float = 0.03, told: Callable[[str], None] | None = None) -> None:
        self._pace = pace
        self._told = told
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on loopback; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_HEAD)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and drop what is open."""
        if self._server:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                found = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
                body = await reader.readexactly(int(found[1])) if found else b""
                await self._answer(writer, orjson.loads(body) if body else {})
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, request: dict[str, Any]) -> None:
        text = _said(request)
        if request.get("stream"):
            await self._stream(writer, request, text)
            return
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        body = orjson.dumps({**_head(request, "chat.completion"), "choices": [choice], "usage": _usage(request, text)})
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
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
        _chunk(
            writer,
            orjson.dumps({**_head(request, "chat.completion.chunk"), "choices": [], "usage": _usage(request, text)}),
        )
        _chunk(writer, b"[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    @staticmethod
    def _event(
        writer: asyncio.StreamWriter, request: dict[str, Any], delta: dict[str, str], finish: str | None = None
    ) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        _chunk(writer, orjson.dumps({**_head(request, "chat.completion.chunk"), "choices": [choice]}))


def _said(request: dict[str, Any]) -> str:
    messages = request.get("messages")
    last = (
        messages[-1].get("content")
        if isinstance(messages, list) and messages and isinstance(messages[-1], dict)
        else ""
    )
    asked = last if isinstance(last, str) else ""
    return f"You said: “{asked[:500]}” {_ANSWER}" if asked else _ANSWER


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    event = b"data: " + data + b"\n\n"
    writer.write(b"%x\r\n" % len(event) + event + b"\r\n")


def _head(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-demo", "object": kind, "created": 1700000000, "model": request.get("model", "demo")}


def _usage(request: dict[str, Any], text: str) -> dict[str, int]:
    asked = len(orjson.dumps(request.get("messages"))) // 4
    return {"prompt_tokens": asked, "completion_tokens": len(tokens(text)), "total_tokens": asked + len(tokens(text))}
