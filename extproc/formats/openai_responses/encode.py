"""Requests of the Responses API, written from the canonical form.

Source: OpenAI API reference, "Responses", "Create a model response" and "Input items".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Message, Native, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import Request
from extproc.errors import Unrepresentable
from extproc.formats.openai_responses import seals, settings
from extproc.formats.openai_responses.shapes import CALL, CUSTOM_CALL, MESSAGE, NAME, REASONING

_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The ids of calls that are accepted; longer ones are refused ("string too long")."""


def encode_request(request: Request, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_request``."""
    body = settings.encode(request, losses)
    messages = request.messages
    instructions = _instructions(messages, losses)
    if instructions:
        body["instructions"] = instructions
        messages = messages[1:]
    writer = _Writer(losses, frozenset(_custom_calls(messages)))
    items: list[dict[str, Any]] = []
    for message in messages:
        items += writer.items(message)
    body["input"] = items
    if any(item.get("encrypted_content") for item in items) and "include" not in body:
        body["include"] = ["reasoning.encrypted_content"]
    return body


def _instructions(messages: list[Message], losses: Losses) -> str:
    """The operator's words, where they come first and are one text; empty otherwise."""
    first = messages[0] if messages else None
    if first is None or first.role != "system" or len(first.parts) != 1 or not isinstance(text := first.parts[0], Text):
        return ""
    if text.text and text.cache:
        losses.add(text.where, "cache mark")
    return text.text


def _custom_calls(messages: Iterable[Message]) -> Iterable[str]:
    for message in messages:
        yield from (part.id for part in message.parts if isinstance(part, ToolCall) and part.custom)


def call_id(id_: str) -> str:
    """An id of a call as it is accepted: the same for the call and its result."""
    if _CALL_ID.fullmatch(id_):
        return id_
    return "call_" + hashlib.sha256(id_.encode()).hexdigest()[:32]


class _Writer:
    """Writes messages as items."""

    __slots__ = ("_custom", "_losses")

    def __init__(self, losses: Losses, custom: frozenset[str]) -> None:
        self._losses = losses
        self._custom = custom

    def items(self, message: Message) -> list[dict[str, Any]]:
        """The items of a message, in the order of its parts; words beside each other are one item."""
        if message.name:
            self._losses.add(message.where, "name of the speaker")
        found: list[dict[str, Any]] = []
        for words, parts in groupby(message.parts, lambda part: isinstance(part, Text | Refusal | Media)):
            if words:
                found += self._message(message, [*parts])
                continue
            for part in parts:
                found += self._item(part, found)
        return found

    def _message(self, message: Message, parts: list[Part]) -> list[dict[str, Any]]:
        content = [each for part in parts for each in self._content(part, message.role)]
        return [{"type": MESSAGE, "role": message.role, "content": content}] if content else []

    def _content(self, part: Part, role: str) -> list[dict[str, Any]]:
        """A part of a message."""
        if isinstance(part, Refusal):
            kind = "refusal" if role == "assistant" else "text"
            return [{"type": kind, kind: part.text} if kind == "refusal" else {"type": "input_text", "text": part.text}]
        if isinstance(part, Text):
            self._cached(part)
            return [{"type": "output_text" if role == "assistant" else "input_text", "text": part.text}]
        if role == "assistant":
            raise Unrepresentable(part.where, "pictures, sound or files in the model's own words")
        return [self._media(part)] if isinstance(part, Media) else []

    def _cached(self, part: Text | Media | ToolCall | ToolResult) -> None:
        if part.cache:
            self._losses.add(part.where, "cache mark")

    def _item(self, part: Part, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if isinstance(part, ToolCall):
            self._cached(part)
            if part.signature and part.maker != seals.MAKER:
                self._losses.add(part.where, "signature of another maker")
            names = {"call_id": call_id(part.id), "name": part.name}
            if part.custom:
                return [{"type": CUSTOM_CALL, **names, "input": part.arguments}]
            return [{"type": CALL, **names, "arguments": part.arguments or "{}"}]
        if isinstance(part, ToolResult):
            return [self._result(part)]
        if isinstance(part, Reasoning):
            return self._reasoning(part, before)
        if isinstance(part, Native) and part.format == NAME:
            return [part.value]
        raise Unrepresentable(part.where, "a part that only its own provider knows")

    def _result(self, part: ToolResult) -> dict[str, Any]:
        self._cached(part)
        if part.failed:
            self._losses.add(part.where, "mark of a failed call")
        kind = "custom_tool_call_output" if part.id in self._custom else "function_call_output"
        output: Any = [each for one in part.parts for each in self._content(one, "user")]
        if all(isinstance(each, Text) for each in part.parts) and len(part.parts) < 2:
            output = "".join([each.text for each in part.parts if isinstance(each, Text)])
        return {"type": kind, "call_id": call_id(part.id), "output": output}

    def _reasoning(self, part: Reasoning, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """OpenAI's own reasoning. Anybody else's is refused: it is not in an item the provider has made."""
        if part.maker != seals.MAKER or not (part.sealed or part.id):
            self._losses.add(part.where, "reasoning of another maker")
            return []
        item: dict[str, Any] = {"type": REASONING, **({"id": part.id} if part.id else {}), "summary": []}
        if before and part.id and before[-1].get("id") == part.id:
            item = before.pop()
        if part.text and part.summary:
            item["summary"] = [*item["summary"], {"type": "summary_text", "text": part.text}]
        elif part.text:
            item["content"] = [*item.get("content", []), {"type": "reasoning_text", "text": part.text}]
        if part.sealed:
            item["encrypted_content"] = part.sealed
        return [item]

    def _media(self, part: Media) -> dict[str, Any]:
        self._cached(part)
        if part.medium == "audio":
            return self._audio(part)
        if part.medium == "image" and not part.text:
            return self._image(part)
        if part.medium == "video":
            raise Unrepresentable(part.where, "a film")
        if part.text:
            return {"type": "input_text", "text": part.text}
        name = {"filename": part.name} if part.name else {}
        if part.data:
            name = name or {"filename": "file"}
            return {"type": "input_file", **name, "file_data": _data_url(part)}
        return {"type": "input_file", **name, **({"file_url": part.url} if part.url else {"file_id": part.id})}

    def _image(self, part: Media) -> dict[str, Any]:
        detail = {"detail": part.detail} if part.detail else {}
        if part.id:
            return {"type": "input_image", **detail, "file_id": part.id}
        return {"type": "input_image", **detail, "image_url": part.url or _data_url(part)}

    def _audio(self, part: Media) -> dict[str, Any]:
        form = part.type.removeprefix("audio/").removeprefix("x-").replace("mpeg", "mp3")
        if not part.data or form not in ("wav", "mp3"):
            raise Unrepresentable(part.where, "sound that is not in the request as wav or mp3")
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}


def _data_url(part: Media) -> str:
    return f"data:{part.type};base64,{part.data}" if part.type else part.data
