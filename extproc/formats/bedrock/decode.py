"""Requests for Converse, read into the canonical form.

Source: Amazon Bedrock API reference, ``Converse``; user guide, "Inference request parameters" of Anthropic Claude, Amazon Nova
and OpenAI models, for what ``additionalModelRequestFields`` holds.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Message
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.bedrock.blocks import lose_others, read_cache, read_content
from extproc.formats.bedrock.words import NAME
from extproc.formats.members import member, needed
from extproc.framing.jsontext import Path, parse

_READ: Final = {
    "messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "requestMetadata", "serviceTier",
    "outputConfig",
}  # fmt: skip
_ROLES: Final = frozenset({"user", "assistant", "system"})
_SHOWN: Final = {"summarized": True, "omitted": False}
_MORE: Final = "additionalModelRequestFields"
_PLACES: Final[dict[str, Path]] = {
    "settings.max_output": ("inferenceConfig", "maxTokens"),
    "settings.temperature": ("inferenceConfig", "temperature"),
    "settings.top_p": ("inferenceConfig", "topP"),
    "settings.stop": ("inferenceConfig", "stopSequences"),
    "settings.top_k": (_MORE, "top_k"),
    "settings.service_tier": ("serviceTier", "type"),
    "thinking": (_MORE, "thinking"),
    "tool_choice": ("toolConfig", "toolChoice"),
    "output": ("outputConfig", "textFormat"),
    "metadata": ("requestMetadata",),
}


def decode(body: dict[str, Any], losses: Losses, model: str, stream: bool) -> Request:
    """See ``Codec.decode_request``."""
    if body.get("guardrailConfig"):
        raise Unrepresentable(("guardrailConfig",), "a guardrail of the provider")
    if ":prompt/" in model:
        raise Unrepresentable((), "a stored prompt")
    lose_others(body, _READ, (), losses)
    request = Request(model, stream=stream, usage=True, where=dict(_PLACES))
    system = member(body, "system", list, [])
    if system:
        request.messages.append(Message("system", read_content(system, ("system",), losses), where=("system",)))
    request.messages += _messages(member(body, "messages", list, []), losses)
    config = member(body, "toolConfig", dict, {})
    lose_others(config, {"tools", "toolChoice"}, ("toolConfig",), losses)
    request.tools = _tools(member(config, "tools", list, []), losses)
    request.tool_choice = _choice(member(config, "toolChoice", dict, {}))
    request.settings = _settings(body, losses)
    request.metadata = dict(member(body, "requestMetadata", dict, {}))
    output = member(body, "outputConfig", dict, {})
    lose_others(output, {"textFormat", "effort"}, ("outputConfig",), losses)
    request.output = _output(member(output, "textFormat", dict))
    _more(member(body, _MORE, dict, {}), member(output, "effort", str, ""), request, losses)
    return request


def _messages(messages: list[Any], losses: Losses) -> list[Message]:
    found: list[Message] = []
    for index, each in enumerate(messages):
        path: Path = ("messages", index)
        role = each.get("role") if isinstance(each, dict) else None
        if not isinstance(role, str) or role not in _ROLES:
            raise DecodeError("a message has no role")
        lose_others(each, {"role", "content"}, path, losses)
        parts = read_content(member(each, "content", list, []), (*path, "content"), losses)
        found.append(Message(each["role"], parts, where=path))
    return found


def _tools(tools: list[Any], losses: Losses) -> list[Tool]:
    found: list[Tool] = []
    for index, each in enumerate(tools):
        path: Path = ("toolConfig", "tools", index)
        if not isinstance(each, dict):
            raise DecodeError("a tool is no object")
        if "cachePoint" in each:
            if found:
                found[-1].cache = read_cache(member(each, "cachePoint", dict, {}))
            else:
                losses.add(path, "nothing stands before it")
        elif "toolSpec" in each:
            found.append(_tool(needed(each, "toolSpec", dict), (*path, "toolSpec"), losses))
        else:
            name = member(member(each, "systemTool", dict, {}), "name", str, "")
            found.append(Tool(name, parameters=each, native=NAME, where=path))
    return found


def _tool(spec: dict[str, Any], path: Path, losses: Losses) -> Tool:
    lose_others(spec, {"name", "description", "inputSchema", "strict"}, path, losses)
    schema = member(member(spec, "inputSchema", dict, {}), "json", dict)
    description = member(spec, "description", str, "")
    return Tool(needed(spec, "name", str), description, schema, member(spec, "strict", bool), where=path)


def _choice(choice: dict[str, Any]) -> ToolChoice | None:
    if not choice:
        return None
    if "tool" in choice:
        return ToolChoice("named", (needed(needed(choice, "tool", dict), "name", str),))
    if choice.keys() == {"auto"}:
        return ToolChoice("auto")
    if choice.keys() == {"any"}:
        return ToolChoice("required")
    raise DecodeError("toolChoice is of an unknown kind")


def _number(value: dict[str, Any], name: str) -> float | None:
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float | None):
        raise DecodeError(f"{name} is not of the type it must have")
    return found


def _settings(body: dict[str, Any], losses: Losses) -> Settings:
    config = member(body, "inferenceConfig", dict, {})
    lose_others(config, {"maxTokens", "temperature", "topP", "stopSequences"}, ("inferenceConfig",), losses)
    stop = member(config, "stopSequences", list, [])
    if not all(isinstance(each, str) for each in stop):
        raise DecodeError("stopSequences is not of the type it must have")
    tier = member(body, "serviceTier", dict, {})
    return Settings(
        max_output=member(config, "maxTokens", int),
        temperature=_number(config, "temperature"),
        top_p=_number(config, "topP"),
        stop=list(stop),
        service_tier=member(tier, "type", str, ""),
    )


def _output(wanted: dict[str, Any] | None) -> OutputShape | None:
    """The shape of the output. A schema is kept to the letter, says the guide: it is strict."""
    if wanted is None:
        return None
    if wanted.get("type") != "json_schema":
        raise DecodeError("textFormat is of an unknown type")
    schema = needed(needed(wanted, "structure", dict), "jsonSchema", dict)
    try:
        value = parse(needed(schema, "schema", str).encode())
    except UnicodeEncodeError:
        raise DecodeError("a schema is no text") from None
    if not isinstance(value, dict):
        raise DecodeError("a schema is no object")
    return OutputShape(value, member(schema, "name", str, ""), member(schema, "description", str, ""), strict=True)


def _more(fields: dict[str, Any], effort: str, request: Request, losses: Losses) -> None:
    """The settings of single models."""
    known = {"top_k", "thinking", "output_config", "reasoning_effort", "reasoning_config", "reasoningConfig"}
    nova = member(fields, "inferenceConfig", dict, {})
    lose_others(nova, {"topK"}, (_MORE, "inferenceConfig"), losses)
    lose_others(fields, {*known, "inferenceConfig"}, (_MORE,), losses)
    request.settings.top_k = member(fields, "top_k", int, member(nova, "topK", int))
    config = member(fields, "output_config", dict, {})
    lose_others(config, {"effort"}, (_MORE, "output_config"), losses)
    for told in (fields.get("reasoning_config"), fields.get("reasoning_effort"), config.get("effort")):
        effort = told if isinstance(told, str) else effort
    reasoning = member(fields, "reasoningConfig", dict, {})
    if reasoning.get("type") == "enabled":
        effort = member(reasoning, "maxReasoningEffort", str, "medium")
    elif reasoning.get("type") == "disabled":
        effort = "none"
    thinking = fields.get("thinking", fields.get("reasoning_config"))
    request.thinking = _thinking(thinking if isinstance(thinking, dict) else {}, effort, losses)


def _thinking(config: dict[str, Any], effort: str, losses: Losses) -> Thinking | None:
    if not config:
        return Thinking(effort) if effort else None
    kind = needed(config, "type", str)
    show = _SHOWN.get(member(config, "display", str, ""))
    if kind == "enabled":
        return Thinking(effort, needed(config, "budget_tokens", int), show)
    if kind == "disabled":
        return Thinking(effort, 0)
    if kind != "adaptive":
        losses.add((_MORE, "thinking", "type"), "unknown value")
    return Thinking(effort, -1, show)
