"""Requests in the canonical form, written for Converse.

Source: Amazon Bedrock API reference, ``Converse``; user guide, "Using the Converse API". Roles alternate, results of tools
follow the turn that called them, and calls in a conversation need the tools to be declared.
"""

from __future__ import annotations

import re
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Message, Native, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import Request, Tool
from extproc.errors import Unrepresentable
from extproc.formats.anthropic.claude import claude
from extproc.formats.bedrock import write
from extproc.formats.bedrock.thinking import is_claude, lose, may_be_claude, think
from extproc.formats.bedrock.words import NAME
from extproc.formats.bedrock.write import Block
from extproc.formats.turns import OPENING, instructions, opened, spoken
from extproc.framing.jsontext import dump

_METADATA: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")
_METADATA_MAX: Final = 16
_TIERS: Final = frozenset({"priority", "default", "flex", "reserved"})
_SCHEMA: Final = {"type": "object", "properties": {}}
_NO_WORD: Final = (
    "min_p", "seed", "frequency_penalty", "presence_penalty", "choices", "verbosity", "logprobs", "logit_bias",
)  # fmt: skip
_USUAL: Final[dict[str, float]] = {"choices": 1, "frequency_penalty": 0, "presence_penalty": 0}
"""Values that ask for what happens anyway."""


def encode(request: Request, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_request``. Model and stream are said by the path."""
    body: dict[str, Any] = {"messages": _messages(request, losses)}
    if system := _system(request, losses):
        body["system"] = system
    if tools := _tools(request, losses):
        body["toolConfig"] = tools
    choice = tools.get("toolChoice", {})
    more = think(request, body["messages"], "any" in choice or "tool" in choice, losses)
    if config := _inference(request, more, losses):
        body["inferenceConfig"] = config
    if more:
        body["additionalModelRequestFields"] = more
    _output(request, body, losses)
    _others(request, body, losses)
    return body


# messages


def _system(request: Request, losses: Losses) -> list[Block]:
    """The operator's words: all of them in front, wherever they stood."""
    found: list[Block] = []
    for part in instructions(request, losses):
        if block := write.text(part, losses):
            found += [block, *write.cache(part.cache, part.where, losses)]
    return found


def _messages(request: Request, losses: Losses) -> list[Block]:
    turns: list[Block] = []
    names: set[str] = set()
    for message in spoken(request, losses):
        blocks = _blocks(message, may_be_claude(request.model), names, losses)
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": message.role, "content": blocks})
    if not turns or turns[0]["role"] != "user":
        opened(request, losses)
        turns.insert(0, {"role": "user", "content": [{"text": OPENING}]})
    for turn in turns:
        turn["content"] = _results_first(turn["content"])
    return turns


def _results_first(blocks: list[Block]) -> list[Block]:
    """Results of tools stand before other words; a cache point stays with what it follows."""
    groups: list[list[Block]] = []
    for block in blocks:
        if "cachePoint" in block and groups:
            groups[-1].append(block)
        else:
            groups.append([block])
    groups.sort(key=lambda group: "toolResult" not in group[0] or "type" in group[0]["toolResult"])
    return [block for group in groups for block in group]


def _blocks(message: Message, takes: bool, names: set[str], losses: Losses) -> list[Block]:
    found: list[Block] = []
    for part in message.parts:
        block = _block(part, message.role, takes, names, losses)
        found += [block] if block else []
        if found and not isinstance(part, Reasoning | Refusal | Native):
            found += write.cache(part.cache, part.where, losses)
    return found


def _block(part: Part, role: str, takes: bool, names: set[str], losses: Losses) -> Block | None:
    if isinstance(part, Text | Refusal):
        return write.text(Text(part.text, where=part.where), losses)
    if isinstance(part, Native):
        if part.format != NAME or not isinstance(part.value, dict):
            raise Unrepresentable(part.where, "a part that only another format knows")
        return part.value
    if isinstance(part, Media):
        return write.media(part, names, losses)
    if role == "assistant":
        if isinstance(part, Reasoning):
            return write.reasoning(part, takes, losses)
        if isinstance(part, ToolCall):
            return write.call(part, losses)
    elif isinstance(part, ToolResult):
        return write.result(part, names, losses)
    raise Unrepresentable(part.where, f"this part in a turn of the {role}")


# tools


def _tools(request: Request, losses: Losses) -> Block:
    choice, called = request.tool_choice, _called(request)
    if choice and choice.mode == "none":
        if request.tools:
            reason = "not with calls in the conversation" if called else "said by leaving the tools out"
            lose(request, "tool_choice", losses, reason)
        if not called:
            return {}
    tools = _offered(request, losses)
    if not tools and called:  # they must be declared, even those that are there no more
        losses.add(("tools",), "declared because they were called")
        return {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": _SCHEMA}}} for name in called]}
    if not tools:
        return {}
    if request.settings.parallel_tools is False:
        lose(request, "settings.parallel_tools", losses)
    config: Block = {"tools": tools}
    if choice and choice.mode == "named" and choice.names:
        config["toolChoice"] = {"tool": {"name": choice.names[0]}}
    elif choice and choice.mode != "none":
        config["toolChoice"] = {"auto": {}} if choice.mode == "auto" else {"any": {}}
    return config


def _offered(request: Request, losses: Losses) -> list[Block]:
    """The tools that may be called, and their cache points."""
    choice = request.tool_choice
    allowed = choice.names if choice and choice.mode in ("auto", "required") else ()
    found: list[Block] = []
    for tool in request.tools:
        if allowed and tool.name not in allowed:
            losses.add(tool.where, "a tool that must not be called")
        else:
            found += [_tool(tool), *write.cache(tool.cache, tool.where, losses)]
    return found


def _called(request: Request) -> list[str]:
    """The names of tools that were called."""
    calls = [part for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    return list(dict.fromkeys(write.named(part.name, part.where) for part in calls))


def _tool(tool: Tool) -> Block:
    if tool.native:
        if tool.native != NAME or tool.parameters is None:
            raise Unrepresentable(tool.where, "a tool that another provider has")
        return tool.parameters
    if tool.custom or tool.grammar is not None:
        raise Unrepresentable(tool.where, "a tool that takes text")
    spec: Block = {"name": write.named(tool.name, tool.where)}
    if tool.description:
        spec["description"] = tool.description
    schema = _SCHEMA if tool.parameters is None else tool.parameters
    spec["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return {"toolSpec": spec}


# everything else


def _inference(request: Request, more: Block, losses: Losses) -> Block:
    """The settings all models have; ``more`` takes those that only some have."""
    given, model = request.settings, request.model
    config: Block = {}
    if given.max_output is not None:
        config["maxTokens"] = given.max_output
    thinks = more.get("thinking", {}).get("type") in ("enabled", "adaptive")
    sampled = not is_claude(model) or claude(model).sampled
    for name, key in (("temperature", "temperature"), ("top_p", "topP"), ("top_k", "")):
        value = getattr(given, name)
        if value is None:
            continue
        if not sampled:
            lose(request, f"settings.{name}", losses, "the model does not take it")
        elif thinks and not (name == "temperature" and value == 1) and not (name == "top_p" and value >= 0.95):
            lose(request, f"settings.{name}", losses, "not together with thinking")
        elif key:
            config[key] = min(1.0, max(0.0, value)) if not 0 <= value <= 1 else value
            if config[key] != value:
                lose(request, f"settings.{name}", losses, "clamped")
        elif is_claude(model) or "mistral" in model:
            more["top_k"] = value
        elif "nova" in model:
            more["inferenceConfig"] = {"topK": value}
        else:
            lose(request, "settings.top_k", losses)
    if stop := [each for each in given.stop if each]:
        config["stopSequences"] = stop
    return config


def _output(request: Request, body: Block, losses: Losses) -> None:
    shape = request.output
    if shape is None:
        return
    if shape.schema is None:
        lose(request, "output", losses, "JSON without a schema")
        return
    schema = {"schema": dump(shape.schema).decode()}
    schema |= {name: value for name, value in (("name", shape.name), ("description", shape.description)) if value}
    body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    if shape.strict is False:
        lose(request, "output", losses, "a schema that need not be kept")


def _others(request: Request, body: Block, losses: Losses) -> None:
    given = request.settings
    for name in _NO_WORD:
        value = getattr(given, name)
        if value not in (None, "") and _USUAL.get(name) != value:
            lose(request, f"settings.{name}", losses)
    if any(modality != "text" for modality in given.modalities):
        lose(request, "settings.modalities", losses)
    if given.service_tier in _TIERS:
        body["serviceTier"] = {"type": given.service_tier}
    elif given.service_tier and given.service_tier != "auto":
        lose(request, "settings.service_tier", losses, "no such value")
    if request.user:
        lose(request, "user", losses)
    kept: dict[str, str] = {}
    for name, value in request.metadata.items():
        fits = isinstance(value, str) and name and _METADATA.fullmatch(name) and _METADATA.fullmatch(value)
        if fits and len(kept) < _METADATA_MAX:
            kept[name] = value
        else:
            lose(request, "metadata", losses, "no such value")
    if kept:
        body["requestMetadata"] = kept
