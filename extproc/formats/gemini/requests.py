"""A whole request, to and fro.

Source: Gemini API reference, "generateContent"; Gemini API guides, "Function calling" and "Thought signatures".
"""

from __future__ import annotations

import re
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Message, Part, Reasoning, Role, Text, ToolCall, ToolResult
from extproc.chat.request import Request, Tool
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.gemini import parts, settings
from extproc.formats.gemini.names import elements, fields, spelling, text
from extproc.formats.gemini.schema import json_schema
from extproc.framing.jsontext import Path

_ROLES: Final[dict[str, Role]] = {
    "": "user", "user": "user", "function": "user", "tool": "user", "model": "assistant", "system": "system",
}  # fmt: skip
_STORED: Final = frozenset({"cachedContent", "continuationToken"})
_ONLY: Final = frozenset({"safetySettings", "store", "modelArmorConfig", "serviceTier"})
_UNSIGNED: Final = "skip_thought_signature_validator"
"""Stands, by the guide, for the signature of a call that Gemini did not make."""
_SIGNING: Final = re.compile(r"gemini-[12]\b|gemma|learnlm")
"""Models that do not ask for signatures."""


# reading


def read(body: dict[str, Any], losses: Losses, model: str, stream: bool) -> Request:
    """See ``Codec.decode_request``."""
    given = fields(body, "a request")
    spelled = {name: spelling(body, name) for name in given}
    request = Request(model or _model(given.get("model", "")), stream=stream, usage=stream)
    for name in given:
        if name in _STORED:
            raise Unrepresentable((spelled[name],), "a conversation that is kept at the provider")
        if name in _ONLY:
            losses.add((spelled[name],), settings.ONLY)
        elif name not in _READ:
            losses.add((spelled[name],), settings.UNKNOWN)
    calls = _Calls()
    if "systemInstruction" in given:
        request.messages.append(_instruction(given["systemInstruction"], (spelled["systemInstruction"],), losses))
    for index, content in enumerate(elements(given.get("contents"), "contents")):
        message = _message(content, (spelled["contents"], index), losses)
        calls.match(message, index)
        request.messages.append(message)
    for index, tool in enumerate(elements(given.get("tools"), "tools")):
        request.tools += _tools(tool, (spelled["tools"], index), losses)
    if "toolConfig" in given:
        request.tool_choice = settings.choice(given["toolConfig"], (spelled["toolConfig"],), losses)
    if "generationConfig" in given:
        settings.read(given["generationConfig"], (spelled["generationConfig"],), request, losses)
    if "labels" in given:
        request.metadata = {**_object(given["labels"], "labels")}
    return request


_READ: Final = frozenset({
    "model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "labels",
})  # fmt: skip


def _model(name: Any) -> str:
    return text(name, "the model").removeprefix("models/")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecodeError(f"{what} is not an object")
    return value


def _instruction(value: Any, where: Path, losses: Losses) -> Message:
    if isinstance(value, str):
        return Message("system", [Text(value, where=where)] if value else [], where=where)
    return _message({**_object(value, "systemInstruction"), "role": "system"}, where, losses)


def _message(content: Any, where: Path, losses: Losses) -> Message:
    given = fields(content, "a content")
    role = _ROLES.get(text(given.get("role", ""), "a role"))
    if role is None:
        raise DecodeError("a role that nobody knows")
    for name in given.keys() - {"role", "parts"}:
        losses.add((*where, name), settings.UNKNOWN)
    message = Message(role, where=where)
    for index, part in enumerate(elements(given.get("parts"), "parts")):
        for each in parts.read(part, (*where, "parts", index), losses):
            message.parts += _placed(each, role, losses)
    return message


def _placed(part: Part, role: Role, losses: Losses) -> list[Part]:
    """A part in a message of this role."""
    if isinstance(part, ToolCall) and role != "assistant":
        raise DecodeError("a function call that the model did not make")
    if isinstance(part, ToolResult) and role != "user":
        raise DecodeError("a function response that the model made")
    if isinstance(part, Reasoning) and role != "assistant":
        losses.add(part.where, "thought of no model")
        return [Text(part.text, where=part.where)] if part.text else []
    return [part]


class _Calls:
    """Gives calls without ids one, and results that of the call they answer: the first open one of the same name."""

    def __init__(self) -> None:
        self._open: list[ToolCall] = []

    def match(self, message: Message, place: int) -> None:
        """Take the next message."""
        for index, part in enumerate(message.parts):
            if isinstance(part, ToolCall):
                part.id = part.id or parts.made_id(place, index, part.name)
                self._open.append(part)
            elif isinstance(part, ToolResult):
                self._answer(part, place, index)

    def _answer(self, result: ToolResult, place: int, index: int) -> None:
        matches = [call for call in self._open if call.id == result.id or (not result.id and call.name == result.name)]
        if matches:
            self._open.remove(matches[0])
            result.id, result.name = matches[0].id, result.name or matches[0].name
        result.id = result.id or parts.made_id(place, index, result.name)


def _tools(value: Any, where: Path, losses: Losses) -> list[Tool]:
    given = fields(value, "a tool")
    found: list[Tool] = []
    for index, each in enumerate(elements(given.pop("functionDeclarations", None), "functionDeclarations")):
        found.append(_function(each, (*where, "functionDeclarations", index), losses))
    native = [
        Tool(name, parameters={name: child}, native=parts.NAME, where=(*where, name)) for name, child in given.items()
    ]
    return found + native


def _function(value: Any, where: Path, losses: Losses) -> Tool:
    given = fields(value, "a function")
    if "parameters" in given and "parametersJsonSchema" in given:
        raise DecodeError("a function has two schemas")
    schema = given.get("parametersJsonSchema", json_schema(given.get("parameters")))
    if schema is not None and not isinstance(schema, dict):
        raise DecodeError("a schema is not an object")
    for name in given.keys() - {"name", "description", "parameters", "parametersJsonSchema"}:
        losses.add((*where, name), settings.ONLY if name in _OF_FUNCTIONS else settings.UNKNOWN)
    description = text(given.get("description", ""), "a description")
    return Tool(text(given.get("name"), "a function's name"), description, schema, where=where)


_OF_FUNCTIONS: Final = frozenset({"response", "responseJsonSchema", "behavior"})


# writing


def write(request: Request, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_request``. The path names the model and asks for the stream."""
    body: dict[str, Any] = {"contents": _contents(request, losses)}
    if system := _system(request.messages, losses):
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = _offered(request.tools, losses)
    if request.tool_choice:
        body["toolConfig"] = settings.tool_config(request.tool_choice)
    if config := settings.write(request, losses):
        body["generationConfig"] = config
    for name in ("user", "metadata"):
        if getattr(request, name):
            losses.add(request.where.get(name) or (name,), "no such setting")
    return body


def _system(messages: list[Message], losses: Losses) -> list[dict[str, Any]]:
    """What the operator says, all of it in front: that is the only place for it."""
    found: list[dict[str, Any]] = []
    others = False
    for message in messages:
        if message.role != "system":
            others = True
            continue
        if others:
            losses.add(message.where, "moved")
        for part in message.parts:
            said = parts.write(part, losses)
            if any("text" not in each for each in said):
                raise Unrepresentable(part.where, "instructions that are no text")
            found += said
    return found


def _contents(request: Request, losses: Losses) -> list[dict[str, Any]]:
    """The turns. Neighbours of one role are one turn, but results of functions have one of their own."""
    names: dict[str, str] = {}
    found: list[dict[str, Any]] = []
    unsigned = not _SIGNING.search(request.model.lower())
    inside = unsigned  # the same models take media in results
    for message in request.messages:
        if message.name:
            losses.add(message.where, "name")
        if message.role == "assistant":
            names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
            _say(found, "model", joined(message.parts, losses))
        elif message.role == "user":
            results, rest = _results(message.parts, names, losses, inside=inside)
            _say(found, "user", results)
            _say(
                found,
                "user",
                rest + joined([each for each in message.parts if not isinstance(each, ToolResult)], losses),
            )
    if unsigned:
        _sign(found)
    return found or [{"role": "user", "parts": [{"text": ""}]}]


def _results(
    given: list[Part], names: dict[str, str], losses: Losses, *, inside: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for part in given:
        if isinstance(part, ToolResult):
            name = part.name or names.get(part.id, "")
            if not name:
                raise Unrepresentable(part.where, "a tool's result without its call")
            response, more = parts.result(part, name, losses, inside=inside)
            found.append(response)
            rest += more
    return found, rest


def _say(contents: list[dict[str, Any]], role: str, said: list[dict[str, Any]]) -> None:
    if not said:
        return
    last = contents[-1] if contents else None
    kinds = {"functionResponse" in each for each in [*(last["parts"] if last else []), *said]}
    if last is not None and last["role"] == role and len(kinds) == 1:
        last["parts"] += said
    else:
        contents.append({"role": role, "parts": said})


def joined(given: list[Part], losses: Losses) -> list[dict[str, Any]]:
    """Parts of a turn; a signature that stood on a text or a picture stands there again."""
    found: list[dict[str, Any]] = []
    for part in given:
        said = parts.write(part, losses)
        bare = [*said[0]] == ["text", "thoughtSignature"] and not said[0]["text"] if said else False
        if bare and found and found[-1].keys() <= {"text", "inlineData", "fileData"}:
            found[-1]["thoughtSignature"] = said[0]["thoughtSignature"]
        else:
            found += said
    return found


def _sign(contents: list[dict[str, Any]]) -> None:
    """The first call of each turn needs a signature, be it one that says there is none."""
    for content in contents:
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and not any("thoughtSignature" in call for call in calls):
            calls[0]["thoughtSignature"] = _UNSIGNED


def _offered(tools: list[Tool], losses: Losses) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for tool in tools:
        if tool.cache:
            losses.add(tool.where, "cache mark")
        if tool.native == parts.NAME:
            others.append(tool.parameters or {})
        elif tool.native:
            raise Unrepresentable(tool.where, "a tool that only another API has")
        elif tool.custom:
            raise Unrepresentable(tool.where, "a tool that takes text")
        else:
            functions.append(_declared(tool, losses))
    return [*([{"functionDeclarations": functions}] if functions else []), *others]


def _declared(tool: Tool, losses: Losses) -> dict[str, Any]:
    if tool.strict:
        losses.add(tool.where, "strict")
    found: dict[str, Any] = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    return found if tool.parameters is None else {**found, "parametersJsonSchema": tool.parameters}
