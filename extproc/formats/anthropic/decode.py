"""Requests for messages, read into the canonical form.

Source: Claude API reference, "Messages" (with its beta members).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Message
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.anthropic.blocks import read_cache, read_content
from extproc.formats.anthropic.words import NAME
from extproc.formats.members import member, needed
from extproc.framing.jsontext import Path

_BINDING: Final = {
    "container": "a container",
    "mcp_servers": "servers of tools",
    "thread": "a stored conversation",
    "inference_geo": "a place to be answered in",
}
"""What changes the question or its answer too much to be left out."""
_READ: Final = frozenset({
    "model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "metadata",
    "tools", "tool_choice", "thinking", "output_config", "output_format", "service_tier", "anthropic_version",
})  # fmt: skip
_ROLES: Final = frozenset({"user", "assistant", "system"})
_CHOICES: Final = {"auto": ToolChoice("auto"), "any": ToolChoice("required"), "none": ToolChoice("none")}
_PLACES: Final = {
    "settings.max_output": ("max_tokens",),
    "settings.temperature": ("temperature",),
    "settings.top_p": ("top_p",),
    "settings.top_k": ("top_k",),
    "settings.stop": ("stop_sequences",),
    "settings.service_tier": ("service_tier",),
    "settings.parallel_tools": ("tool_choice", "disable_parallel_tool_use"),
    "tool_choice": ("tool_choice",),
    "thinking": ("thinking",),
    "output": ("output_config", "format"),
    "user": ("metadata", "user_id"),
}


def decode(body: dict[str, Any], losses: Losses, model: str, stream: bool) -> Request:
    """See ``Codec.decode_request``. ``model`` and ``stream`` are the path's, for hosts that say them there."""
    for name, value in body.items():
        if value is None or name in _READ:
            continue
        if name in _BINDING and value:
            raise Unrepresentable((name,), _BINDING[name])
        losses.add((name,), "unknown field")
    request = Request(model=member(body, "model", str, model), usage=True, where=dict[str, Path](_PLACES))
    request.stream = stream or member(body, "stream", bool, False)
    if body.get("system"):
        request.messages.append(Message("system", read_content(body["system"], ("system",), losses), where=("system",)))
    request.messages += _messages(needed(body, "messages", list), losses)
    request.tools = _tools(member(body, "tools", list, []), losses)
    request.settings = _settings(body)
    request.tool_choice = _choice(body, request.settings)
    request.thinking = _thinking(body, losses)
    request.output = _output(body, losses)
    request.user = member(member(body, "metadata", dict, {}), "user_id", str, "")
    return request


def _messages(messages: list[Any], losses: Losses) -> list[Message]:
    found: list[Message] = []
    for index, each in enumerate(messages):
        path: Path = ("messages", index)
        if not isinstance(each, dict) or needed(each, "role", str) not in _ROLES:
            raise DecodeError("a message has no role")
        found.append(Message(each["role"], read_content(each.get("content"), (*path, "content"), losses), where=path))
        for name in each.keys() - {"role", "content"}:
            losses.add((*path, name), "unknown field")
    return found


_TOOL: Final = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_NO_PARAMETERS: Final[dict[str, Any]] = {"type": "object", "properties": {}}


def _tools(tools: list[Any], losses: Losses) -> list[Tool]:
    found: list[Tool] = []
    for index, each in enumerate(tools):
        path: Path = ("tools", index)
        if not isinstance(each, dict):
            raise DecodeError("a tool is no object")
        if each.get("type") not in (None, "custom"):
            found.append(Tool(member(each, "name", str, ""), parameters=each, native=NAME, where=path))
            continue
        for name in each.keys() - _TOOL:
            if each[name]:
                losses.add((*path, name), "unknown field")
        schema = member(each, "input_schema", dict)
        found.append(
            Tool(
                needed(each, "name", str),
                member(each, "description", str, ""),
                None if schema == _NO_PARAMETERS else schema,
                member(each, "strict", bool),
                cache=read_cache(each),
                where=path,
            )
        )
    return found


def _number(body: dict[str, Any], name: str) -> float | None:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise DecodeError(f"{name} is not of the type it must have")
    return value


def _settings(body: dict[str, Any]) -> Settings:
    stop = member(body, "stop_sequences", list, [])
    if not all(isinstance(each, str) for each in stop):
        raise DecodeError("stop_sequences is not of the type it must have")
    parallel = member(member(body, "tool_choice", dict, {}), "disable_parallel_tool_use", bool)
    return Settings(
        max_output=member(body, "max_tokens", int),
        temperature=_number(body, "temperature"),
        top_p=_number(body, "top_p"),
        top_k=member(body, "top_k", int),
        stop=list(stop),
        parallel_tools=None if parallel is None else not parallel,
        service_tier=member(body, "service_tier", str, ""),
    )


def _choice(body: dict[str, Any], settings: Settings) -> ToolChoice | None:
    choice = member(body, "tool_choice", dict)
    if choice is None:
        return None
    kind = needed(choice, "type", str)
    if kind == "tool":
        return ToolChoice("named", (needed(choice, "name", str),))
    if kind not in _CHOICES:
        raise DecodeError("tool_choice is of an unknown type")
    return replace(_CHOICES[kind])


_SHOWN: Final = {"summarized": True, "omitted": False}


def _thinking(body: dict[str, Any], losses: Losses) -> Thinking | None:
    effort = member(member(body, "output_config", dict, {}), "effort", str, "")
    config = member(body, "thinking", dict)
    if config is None:
        return Thinking(effort) if effort else None
    kind = needed(config, "type", str)
    show = _SHOWN.get(member(config, "display", str, ""))
    if kind == "enabled":
        return Thinking(effort, needed(config, "budget_tokens", int), show)
    if kind == "disabled":
        return Thinking(effort, 0)
    if kind != "adaptive":
        losses.add(("thinking", "type"), "unknown value")
    return Thinking(effort, None if effort else -1, show)


def _output(body: dict[str, Any], losses: Losses) -> OutputShape | None:
    config = member(body, "output_config", dict, {})
    for name in config.keys() - {"effort", "format"}:
        if config[name]:
            losses.add(("output_config", name), "unknown field")
    wanted = member(config, "format", dict) or member(body, "output_format", dict)
    if wanted is None:
        return None
    if wanted.get("type") != "json_schema":
        raise DecodeError("the format of the output is of an unknown type")
    return OutputShape(needed(wanted, "schema", dict))
