"""Requests of the Responses API, read into the canonical form.

Source: OpenAI API reference, "Responses", "Create a model response" and "Input items".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import (
    Media,
    Medium,
    Message,
    Native,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from extproc.chat.request import Request
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_responses import seals, settings
from extproc.formats.openai_responses.shapes import CALL, CUSTOM_CALL, MESSAGE, NAME, REASONING, listed, string
from extproc.framing.jsontext import Path

_ROLES: Final[dict[str, Role]] = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
}  # fmt: skip
_KNOWN: Final[dict[str, frozenset[str]]] = {
    MESSAGE: frozenset({"type", "role", "content", "id", "status"}),
    REASONING: frozenset({"type", "id", "status", "summary", "content", "encrypted_content"}),
    CALL: frozenset({"type", "id", "status", "call_id", "name", "arguments"}),
    CUSTOM_CALL: frozenset({"type", "id", "status", "call_id", "name", "input"}),
    "function_call_output": frozenset({"type", "id", "status", "call_id", "output"}),
    "custom_tool_call_output": frozenset({"type", "id", "status", "call_id", "output"}),
}
"""Members that are read, or mean nothing to another provider."""


def decode_request(body: dict[str, Any], losses: Losses, *, model: str = "", stream: bool = False) -> Request:
    """See ``Codec.decode_request``."""
    request = Request(model=string(body, "model") or model, stream=body.get("stream") is True or stream, usage=True)
    settings.decode(body, request, losses)
    instructions = body.get("instructions")
    if isinstance(instructions, str) and instructions:
        request.messages.append(
            Message("system", [Text(instructions, where=("instructions",))], where=("instructions",))
        )
    elif instructions:
        raise Unrepresentable(("instructions",), "instructions that are no text")
    items = body.get("input")
    if isinstance(items, str):
        request.messages.append(Message("user", [Text(items, where=("input",))], where=("input",)))
    elif isinstance(items, list):
        reader = _Reader(losses, request.messages)
        for index, item in enumerate(items):
            reader.item(item, ("input", index))
        for message in request.messages:
            message.parts = seals.signed(message.parts)
    elif items is not None:
        raise DecodeError("the input is neither a text nor a list")
    return request


@dataclass(slots=True)
class _Reader:
    """Reads items one after the other; those of one turn of the model's make one message."""

    losses: Losses
    messages: list[Message]
    names: dict[str, str] = field(default_factory=dict)

    def item(self, item: Any, where: Path) -> None:
        """Add an item.

        Raises:
            DecodeError: it is none.
            Unrepresentable: it says what cannot be said elsewhere.
        """
        if not isinstance(item, dict):
            raise DecodeError("an input item is not an object")
        kind = item.get("type", MESSAGE)
        if kind == "item_reference":
            raise Unrepresentable(where, "a reference to a stored item")
        self._note(item, kind, where)
        if kind == MESSAGE:
            self._message(item, where)
        elif kind == REASONING:
            self._turn("assistant", where).parts += reasoning(item, where)
        elif kind in (CALL, CUSTOM_CALL):
            call = tool_call(item, where)
            self.names[call.id] = call.name
            self._turn("assistant", where).parts.append(call)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._turn("user", where).parts.append(self._result(item, where))
        else:
            given = isinstance(kind, str) and kind.endswith(("_output", "_response"))
            self._turn("user" if given else "assistant", where).parts.append(Native(NAME, item, where))

    def _note(self, item: dict[str, Any], kind: Any, where: Path) -> None:
        known = _KNOWN.get(kind) if isinstance(kind, str) else None
        for name in item if known else ():
            if name not in (known or ()) and item[name] is not None:
                self.losses.add((*where, name), "unknown field")

    def _turn(self, role: Role, where: Path) -> Message:
        """The message that an item of this role belongs to: the model's turn, or a turn of its tools."""
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != role or (role == "user" and not _given(last)):
            last = Message(role, where=where)
            self.messages.append(last)
        return last

    def _message(self, item: dict[str, Any], where: Path) -> None:
        role = _ROLES.get(string(item, "role"))
        if role is None:
            raise DecodeError("a message has no role that is known")
        content, at = item.get("content"), (*where, "content")
        parts: list[Part] = []
        if isinstance(content, str):
            parts.append(Text(content, where=at))
        elif isinstance(content, list):
            parts += [_part(each, (*at, index), self.losses) for index, each in enumerate(content)]
        elif content is not None:
            raise DecodeError("a message's content is neither a text nor a list")
        if role == "assistant":
            self._turn(role, where).parts += parts
        else:
            self.messages.append(Message(role, parts, where=where))

    def _result(self, item: dict[str, Any], where: Path) -> ToolResult:
        output, at = item.get("output"), (*where, "output")
        id_ = string(item, "call_id")
        if isinstance(output, str):
            return ToolResult(id_, [Text(output, where=at)] if output else [], self.names.get(id_, ""), where=where)
        parts: list[Text | Media] = []
        for index, each in enumerate(output if isinstance(output, list) else ()):
            part = _part(each, (*at, index), self.losses)
            if not isinstance(part, Text | Media):
                raise Unrepresentable((*at, index), "a part of a tool's output that is not known")
            parts.append(part)
        if output is not None and not isinstance(output, list):
            raise DecodeError("a tool's output is neither a text nor a list")
        return ToolResult(id_, parts, self.names.get(id_, ""), where=where)


def _given(message: Message) -> bool:
    """Whether a message is made of what tools gave."""
    return all(isinstance(part, ToolResult | Native) for part in message.parts)


def tool_call(item: dict[str, Any], where: Path) -> ToolCall:
    """A call of a function or of a tool that takes text."""
    custom = item.get("type") == CUSTOM_CALL
    text = string(item, "input" if custom else "arguments")
    return ToolCall(string(item, "call_id"), string(item, "name"), text, custom, where=where)


def reasoning(item: dict[str, Any], where: Path) -> list[Reasoning]:
    """A reasoning item: its summary and its text, where it has both; what is sealed belongs to the last."""
    id_, sealed = string(item, "id"), string(item, "encrypted_content")
    summary = "\n\n".join([string(each, "text") for each in listed(item, "summary")])
    thoughts = "".join([string(each, "text") for each in listed(item, "content")])
    parts = [Reasoning(summary, maker=seals.MAKER, summary=True, id=id_, where=where)] if summary else []
    if thoughts or not parts:
        parts.append(Reasoning(thoughts, maker=seals.MAKER, id=id_, where=where))
    if sealed:
        parts[-1] = seals.opened(parts[-1], sealed)
        for part in parts:
            part.maker = parts[-1].maker
    return parts


def _part(part: Any, where: Path, losses: Losses) -> Part:
    if not isinstance(part, dict):
        raise DecodeError("a part of a message is not an object")
    kind = part.get("type")
    read = _PARTS.get(kind) if isinstance(kind, str) else None
    if read is None:
        return Native(NAME, part, where)
    for name in part:
        if name not in _READ and part[name] not in (None, []):
            losses.add((*where, name), "unknown field")
    return read(part, where)


_READ: Final = frozenset({
    "type", "text", "refusal", "image_url", "file_id", "file_url", "file_data", "filename", "input_audio", "detail",
    "logprobs",
})  # fmt: skip


def _text(part: dict[str, Any], where: Path) -> Part:
    if not isinstance(part.get("text"), str):
        raise DecodeError("a text is not a string")
    return Text(part["text"], where=where)


def _refusal(part: dict[str, Any], where: Path) -> Part:
    return Refusal(string(part, "refusal"), where=where)


def _image(part: dict[str, Any], where: Path) -> Part:
    given = part.get("image_url")
    url = given if isinstance(given, str) else string(given, "url")
    return _media("image", url, part, where)


def _file(part: dict[str, Any], where: Path) -> Part:
    return _media("file", string(part, "file_data") or string(part, "file_url"), part, where)


def _audio(part: dict[str, Any], where: Path) -> Part:
    held = part.get("input_audio")
    form = string(held, "format")
    return Media("audio", data=string(held, "data"), type=f"audio/{form}" if form else "", where=where)


def _media(medium: Medium, given: str, part: dict[str, Any], where: Path) -> Media:
    """A picture or file: its data, as a data URL or bare, or where it is."""
    found = Media(medium, name=string(part, "filename"), detail=string(part, "detail"), where=where)
    if given.startswith("data:") and ";base64," in given:
        head, _, found.data = given.partition(",")
        found.type = head.removeprefix("data:").partition(";")[0]
    elif given and (medium == "image" or given == part.get("file_url")):
        found.url = given
    elif given:
        found.data = given
    elif id_ := string(part, "file_id"):
        found.id = id_
    else:
        raise DecodeError("a picture or file is nowhere")
    return found


_PARTS: Final[dict[str, Callable[[dict[str, Any], Path], Part]]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
