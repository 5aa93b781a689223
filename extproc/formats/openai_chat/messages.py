"""Messages of a request, into the canonical form.

Source: OpenAI API reference, "Chat Completions" (``messages``); Mistral, "Reasoning" (``thinking`` parts).
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Message, Native, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_chat import media, reasoning
from extproc.formats.openai_chat.checked import items, record, string, unknown
from extproc.formats.openai_chat.tools import NAME, made_id, read_cache, read_call
from extproc.framing.jsontext import Path

_COMMON: Final = frozenset({"role", "content", "name", "cache_control"})
_ASSISTANT: Final = _COMMON | reasoning.READ | {"refusal", "tool_calls", "function_call", "audio", "images"}
_RESULT: Final = _COMMON | {"tool_call_id"}
_PART: Final = frozenset({"type", "text", "refusal", "thinking", "signature", "cache_control", *media.READ})


class Reader:
    """Reads the messages of one request in order; remembers the calls, which results are of."""

    __slots__ = ("_legacy", "_losses", "_names", "messages")

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._names: dict[str, str] = {}  # of calls, by id
        self._legacy: dict[str, str] = {}  # ids made for calls without one, by name
        self.messages: list[Message] = []

    def read(self, value: Any, where: Path) -> None:
        """Take the next message.

        Raises:
            DecodeError: it is none.
        """
        message = record(value, "a message")
        role = message.get("role")
        if role in ("system", "developer"):
            self._take("system", message, where, _COMMON)
        elif role == "user":
            self._take("user", message, where, _COMMON)
        elif role == "assistant":
            self._assistant(message, where)
        elif role in ("tool", "function"):
            self._result(message, where)
        else:
            raise DecodeError("a message has an unknown role")

    def _take(self, role: Any, message: dict[str, Any], where: Path, known: frozenset[str]) -> Message:
        unknown(message, known, where, self._losses)
        parts = content(message.get("content"), (*where, "content"), self._losses)
        taken = Message(role, parts, string(message.get("name"), "name"), where)
        _mark(message, parts)
        self.messages.append(taken)
        return taken

    def _assistant(self, message: dict[str, Any], where: Path) -> None:
        taken = self._take("assistant", message, where, _ASSISTANT)
        thoughts = reasoning.read(message, where)
        calls = self._calls(message, where)
        taken.parts = [*signed(thoughts, calls), *taken.parts]
        if refusal := string(message.get("refusal"), "refusal"):
            taken.parts.append(Refusal(refusal, where=(*where, "refusal")))
        taken.parts += images(message, where)
        if message.get("audio") is not None:
            said = record(message["audio"], "audio")
            taken.parts.append(Media("audio", id=string(said.get("id"), "id"), where=(*where, "audio")))
        taken.parts += calls

    def _calls(self, message: dict[str, Any], where: Path) -> list[ToolCall]:
        found = [
            read_call(call, made_id("", len(self.messages), at), (*where, "tool_calls", at))
            for at, call in enumerate(items(message.get("tool_calls"), "tool_calls"))
        ]
        if message.get("function_call") is not None:
            id_ = made_id("function", len(self.messages), 0)
            call = {"type": "function", "function": message["function_call"]}
            found.append(read_call(call, id_, (*where, "function_call")))
            self._legacy[found[-1].name] = id_
        self._names |= {call.id: call.name for call in found}
        return found

    def _result(self, message: dict[str, Any], where: Path) -> None:
        unknown(message, _RESULT, where, self._losses)
        name = string(message.get("name"), "name")
        id_ = string(message.get("tool_call_id"), "tool_call_id") or self._legacy.get(name) or made_id("", 0, 0)
        parts = content(message.get("content"), (*where, "content"), self._losses)
        for part in parts:
            if not isinstance(part, Text | Media):
                raise Unrepresentable(part.where, "this in a tool's result")
        result = ToolResult(id_, parts, self._names.get(id_, name), cache=read_cache(message), where=where)  # type: ignore[arg-type]
        before = self.messages[-1] if self.messages else None
        if before and before.role == "user" and before.parts and isinstance(before.parts[-1], ToolResult):
            before.parts.append(result)
        else:
            self.messages.append(Message("user", [result], where=where))


def _mark(message: dict[str, Any], parts: list[Part]) -> None:
    """A cache mark on a message is one on its last part."""
    last = parts[-1] if parts else None
    if isinstance(last, Text | Media) and (cache := read_cache(message)):
        last.cache = cache


def signed(thoughts: list[Reasoning], calls: list[ToolCall]) -> list[Reasoning]:
    """Give calls the signatures that stand among the thoughts under their ids; the rest are thoughts."""
    by_id = {call.id: call for call in calls}
    found = []
    for part in thoughts:
        if part.sealed and not part.text and part.id in by_id:
            by_id[part.id].signature, by_id[part.id].maker = part.sealed, part.maker
        else:
            found.append(part)
    return found


def content(value: Any, where: Path, losses: Losses | None = None) -> list[Part]:
    """The parts of ``content``: none for null and the empty string.

    Raises:
        DecodeError: it is neither a string nor a list of parts.
    """
    if value is None or isinstance(value, str):
        return [Text(value, where=where)] if value else []
    found: list[Part] = []
    for at, each in enumerate(items(value, "content")):
        found += _part(each, (*where, at), losses)
    return found


def _part(value: Any, where: Path, losses: Losses | None) -> list[Part]:
    if isinstance(value, str):
        return [Text(value, where=where)]
    part = record(value, "a content part")
    kind = part.get("type")
    if not isinstance(kind, str):
        raise DecodeError("a content part has no type")
    found: Part
    if kind == "text":
        found = Text(string(part.get("text"), "text"), read_cache(part), where)
    elif kind == "refusal":
        found = Refusal(string(part.get("refusal"), "refusal"), where=where)
    elif kind == "thinking":
        return _thinking(part, where)
    elif kind in media.READ:
        found = media.read(part, kind, where)
        found.cache = read_cache(part)
    else:
        return [Native(NAME, part, where)]
    if losses:
        unknown(part, _PART, where, losses)
    return [found]


def _thinking(part: dict[str, Any], where: Path) -> list[Part]:
    """Mistral's thoughts: a text, or parts of their own, of which references are no thoughts."""
    inner = part.get("thinking")
    if not isinstance(inner, str):
        each = [record(entry, "a thought") for entry in items(inner, "thinking")]
        inner = "".join([string(entry.get("text"), "text") for entry in each if entry.get("type") == "text"])
    return [Reasoning(inner, where=where)] if inner else []


def images(message: dict[str, Any], where: Path) -> list[Part]:
    """Pictures the model drew, as OpenRouter has them."""
    found: list[Part] = []
    for at, each in enumerate(items(message.get("images"), "images")):
        here = (*where, "images", at)
        found.append(media.read(record(each, "an image"), "image_url", here))
    return found
