"""Clients of five APIs: how each asks, and what it makes of an answer; strict about shapes, and independent of our code."""

from __future__ import annotations

import binascii
import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Said:
    """What a client has understood. ``error``: the message of an error in the stream; ``ended``: it came to its end."""

    text: str = ""
    finish: str = ""
    input: int | None = None
    output: int | None = None
    error: str | None = None
    ended: bool = False


class BadStreamError(AssertionError):
    """The bytes are no stream of the API."""


def events(raw: bytes) -> Iterator[tuple[str, Any]]:
    """Server-sent events: names and values; ``[DONE]`` as it is."""
    if raw and not raw.endswith(b"\n\n"):
        raise BadStreamError(f"the last event is not complete: {raw[-200:]!r}")
    for block in raw.decode().split("\n\n"):
        name, data = "", []
        for line in block.split("\n"):
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif line and not line.startswith(":"):
                raise BadStreamError(f"an odd line: {line!r}")
        if data:
            text = "\n".join(data)
            yield name, text if text == "[DONE]" else json.loads(text)


def frames(raw: bytes) -> Iterator[tuple[str, str, Any]]:
    """Messages of an AWS event stream: type, name and value; every checksum must be right."""
    at = 0
    while at < len(raw):
        total, size, crc = struct.unpack_from(">III", raw, at)
        message = raw[at : at + total]
        if len(message) < total or binascii.crc32(message[:8]) != crc:
            raise BadStreamError("half a message, or wrong lengths")
        if binascii.crc32(message[:-4]) != struct.unpack(">I", message[-4:])[0]:
            raise BadStreamError("a wrong checksum")
        told = {
            key.decode(): value.decode()
            for key, value in re.findall(rb"(:[a-z-]+)\x07\x00.([A-Za-z0-9/._-]+)", message[12 : 12 + size], re.DOTALL)
        }
        kind = told[":message-type"]
        name = told[":event-type" if kind == "event" else ":exception-type"]
        yield kind, name, json.loads(message[12 + size : -4])
        at += total


def _chat_stream(raw: bytes) -> Said:
    said = Said()
    for _, value in events(raw):
        if said.ended:
            raise BadStreamError("something follows the end")
        if value == "[DONE]":
            said.ended = True
        elif "error" in value:
            said.error = value["error"]["message"]
        else:
            if value["object"] != "chat.completion.chunk":
                raise BadStreamError(f"an odd object: {value['object']}")
            for choice in value["choices"]:
                said.text += choice["delta"].get("content") or ""
                said.finish = choice["finish_reason"] or said.finish
            if usage := value.get("usage"):
                said.input, said.output = usage["prompt_tokens"], usage["completion_tokens"]
    return said


def _chat_whole(body: Any) -> Said:
    (choice,) = body["choices"]
    usage = body["usage"]
    text, finish = choice["message"]["content"], choice["finish_reason"]
    return Said(text, finish, usage["prompt_tokens"], usage["completion_tokens"], ended=True)


def _responses_stream(raw: bytes) -> Said:
    said = Said()
    for name, value in events(raw):
        if value == "[DONE]":
            raise BadStreamError("[DONE] in a stream of responses")
        if said.ended or (value["type"] != name and name):
            raise BadStreamError(f"{name} {value}")
        match value["type"]:
            case "response.output_text.delta":
                said.text += value["delta"]
            case "response.completed" | "response.incomplete":
                done = _responses_whole(value["response"])
                if done.text != said.text:
                    raise BadStreamError(f"the end says {done.text!r} after {said.text!r}")
                said = done
            case "response.failed":
                said.error, said.ended = value["response"]["error"]["message"], True
            case "error":
                said.error, said.ended = value["message"], True
    return said


def _responses_whole(body: Any) -> Said:
    texts = [part["text"] for item in body["output"] for part in item["content"] if part["type"] == "output_text"]
    usage = body.get("usage") or {}
    return Said("".join(texts), body["status"], usage.get("input_tokens"), usage.get("output_tokens"), ended=True)


def _anthropic_input(usage: dict[str, Any]) -> int:
    return sum(usage.get(f"{kind}input_tokens") or 0 for kind in ("", "cache_creation_", "cache_read_"))


def _anthropic_stream(raw: bytes) -> Said:
    said, open_ = Said(), False
    for name, value in events(raw):
        if value["type"] != name or said.ended:
            raise BadStreamError(f"{name} {value}")
        match name:
            case "message_start":
                if open_:
                    raise BadStreamError("a second beginning")
                open_ = True
                said.input = _anthropic_input(value["message"]["usage"])
            case "content_block_delta":
                said.text += value["delta"].get("text", "")
            case "message_delta":
                said.finish = value["delta"]["stop_reason"]
                said.output = value["usage"]["output_tokens"]
                said.input = _anthropic_input(value["usage"]) or said.input
            case "message_stop":
                said.ended = True
            case "error":
                said.error, said.ended = value["error"]["message"], True
    return said


def _anthropic_whole(body: Any) -> Said:
    text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
    usage = body["usage"]
    return Said(text, body["stop_reason"], _anthropic_input(usage), usage["output_tokens"], ended=True)


def _gemini_stream(raw: bytes) -> Said:
    said = Said()
    for _, value in events(raw):
        if value == "[DONE]":
            raise BadStreamError("[DONE] in a stream of Gemini")
        _gemini_more(said, value)
    said.ended = bool(said.finish or said.error)
    return said


def _gemini_more(said: Said, value: Any) -> None:
    if "error" in value:
        said.error = value["error"]["message"]
    for candidate in value.get("candidates", ()):
        said.text += "".join(part.get("text", "") for part in candidate.get("content", {}).get("parts", ()))
        said.finish = candidate.get("finishReason") or said.finish
    if usage := value.get("usageMetadata"):
        said.input, said.output = usage.get("promptTokenCount"), usage.get("candidatesTokenCount")


def _gemini_whole(body: Any) -> Said:
    said = Said(ended=True)
    _gemini_more(said, body)
    return said


def _bedrock_input(usage: dict[str, Any]) -> int:
    return sum(usage.get(name) or 0 for name in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"))


def _bedrock_stream(raw: bytes) -> Said:
    said, started = Said(), False
    for kind, name, value in frames(raw):
        if kind == "exception":
            said.error, said.ended = value["message"], True
        elif name == "messageStart":
            if started:
                raise BadStreamError("a second beginning")
            started = True
        elif name == "contentBlockDelta":
            said.text += value["delta"].get("text", "")
        elif name == "messageStop":
            said.finish, said.ended = value["stopReason"], True
        elif name == "metadata":
            said.input, said.output = _bedrock_input(value["usage"]), value["usage"]["outputTokens"]
    return said


def _bedrock_whole(body: Any) -> Said:
    text = "".join(block.get("text", "") for block in body["output"]["message"]["content"])
    return Said(text, body["stopReason"], _bedrock_input(body["usage"]), body["usage"]["outputTokens"], ended=True)


_TURN = {"role": "user"}


@dataclass(frozen=True)
class Tongue:
    """One API as its clients speak it. ``stop``: how it says that an answer came to its natural end."""

    name: str
    format: str
    media: str
    stop: str
    whole: Callable[[Any], Said]
    stream: Callable[[bytes], Said]
    error: Callable[[Any], str]
    """The message of an error body."""

    def path(self, model: str, *, stream: bool) -> str:
        match self.name:
            case "chat":
                return "/v1/chat/completions"
            case "responses":
                return "/v1/responses"
            case "anthropic":
                return "/v1/messages"
            case "gemini":
                method = "streamGenerateContent?alt=sse" if stream else "generateContent"
                return f"/v1beta/models/{model}:{method}"
        return f"/model/{model}/{'converse-stream' if stream else 'converse'}"

    def body(self, model: str, text: str, *, stream: bool, usage: bool = True) -> dict[str, Any]:
        """A request; ``usage``: one for a stream asks for its usage, where that must be asked for."""
        told = {"model": model, **({"stream": True} if stream else {})}
        match self.name:
            case "chat":
                more = {"stream_options": {"include_usage": True}} if stream and usage else {}
                return {**told, "messages": [{**_TURN, "content": text}], **more}
            case "responses":
                return {**told, "input": text}
            case "anthropic":
                return {**told, "max_tokens": 100, "messages": [{**_TURN, "content": text}]}
            case "gemini":
                return {"contents": [{**_TURN, "parts": [{"text": text}]}]}
        return {"messages": [{**_TURN, "content": [{"text": text}]}]}


def _openai_message(body: Any) -> str:
    return str(body["error"]["message"])


def _aws_message(body: Any) -> str:
    return str(body.get("message", body.get("Message")))


_SSE = "text/event-stream; charset=utf-8"
TONGUES = {
    each.name: each
    for each in (
        Tongue("chat", "openai-chat", _SSE, "stop", _chat_whole, _chat_stream, _openai_message),
        Tongue("responses", "openai-responses", _SSE, "completed", _responses_whole, _responses_stream, _openai_message),
        Tongue("anthropic", "anthropic-messages", _SSE, "end_turn", _anthropic_whole, _anthropic_stream, _openai_message),
        Tongue("gemini", "gemini", _SSE, "STOP", _gemini_whole, _gemini_stream, _openai_message),
        Tongue("bedrock", "bedrock-converse", "application/vnd.amazon.eventstream", "end_turn", _bedrock_whole,
               _bedrock_stream, _aws_message),
    )
}  # fmt: skip
