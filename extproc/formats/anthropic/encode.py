"""Requests in the canonical form, written for Anthropic.

Source: Claude API reference, "Messages". Roles alternate, the user begins, the results of tools are the first blocks after
the turn that called them, and the operator's words stand apart from the conversation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Message, Native, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import Request, Tool
from extproc.errors import Unrepresentable
from extproc.formats.anthropic import write
from extproc.formats.anthropic.claude import claude
from extproc.formats.anthropic.thinking import DEFAULT_MAX, lose, place, sample, think
from extproc.formats.anthropic.words import NAME
from extproc.formats.turns import OPENING, instructions, opened, spoken

_MODES: Final = {"auto": "auto", "required": "any", "none": "none"}
_TIERS: Final = {"auto": "auto", "standard_only": "standard_only", "default": "standard_only"}
_NO_WORD: Final = (
    "seed", "min_p", "frequency_penalty", "presence_penalty", "choices", "verbosity", "logprobs", "logit_bias",
)  # fmt: skip

_Block = dict[str, Any]


def encode(request: Request, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_request``."""
    model = claude(request.model)
    body: dict[str, Any] = {"model": request.model, "max_tokens": request.settings.max_output or DEFAULT_MAX}
    if system := _system(request, losses):
        body["system"] = system
    body["messages"] = _messages(request, losses)
    _tools(request, body, losses)
    think(request, model, body, losses)
    _output(request, body, losses)
    sample(request, model, body, losses)
    _settings(request, body, losses)
    if request.stream:
        body["stream"] = True
    return body


# messages


def _system(request: Request, losses: Losses) -> str | list[_Block]:
    """The operator's words: all of them in front, wherever they stood."""
    found = [block for part in instructions(request, losses) if (block := write.text(part, losses))]
    if len(found) == 1 and found[0].keys() == {"type", "text"}:
        said: str = found[0]["text"]
        return said
    return found


def _messages(request: Request, losses: Losses) -> list[_Block]:
    turns: list[tuple[str, list[_Block]]] = []
    for message in spoken(request, losses):
        blocks = _blocks(message, losses)
        if turns and turns[-1][0] == message.role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((message.role, blocks))
    if not turns or turns[0][0] != "user":
        opened(request, losses)
        turns.insert(0, ("user", [{"type": "text", "text": OPENING}]))
    for _, blocks in turns:
        blocks.sort(key=lambda block: block["type"] != "tool_result")  # stable: only the results move
    if turns[-1][0] == "assistant":
        _trim(turns[-1][1][-1], losses)
    return [{"role": role, "content": blocks} for role, blocks in turns]


def _trim(last: _Block, losses: Losses) -> None:
    """The words an answer has to go on with must not end in white space."""
    if last["type"] == "text" and last["text"] != last["text"].rstrip():
        last["text"] = last["text"].rstrip()
        losses.add(("messages",), "white space at the end")


def _blocks(message: Message, losses: Losses) -> list[_Block]:
    blocks = [_block(part, message.role, losses) for part in message.parts]
    return [block for block in blocks if block]


def _block(part: Part, role: str, losses: Losses) -> _Block | None:
    if isinstance(part, Text):
        return write.text(part, losses)
    if isinstance(part, Refusal):
        return write.text(Text(part.text, where=part.where), losses)
    if isinstance(part, Native):
        if part.format != NAME or not isinstance(part.value, dict):
            raise Unrepresentable(part.where, "a part that only another format knows")
        return part.value
    if role == "assistant":
        if isinstance(part, Reasoning):
            return write.reasoning(part, losses)
        if isinstance(part, ToolCall):
            return write.call(part, losses)
    else:
        if isinstance(part, Media):
            return write.media(part, losses)
        if isinstance(part, ToolResult):
            return write.result(part, losses)
    raise Unrepresentable(part.where, f"this part in a turn of the {role}")


# tools


def _tools(request: Request, body: dict[str, Any], losses: Losses) -> None:
    choice = request.tool_choice
    allowed = choice.names if choice and choice.mode in ("auto", "required") else ()
    left = [tool for tool in request.tools if not allowed or tool.name in allowed]
    for tool in request.tools:
        if allowed and tool.name not in allowed:
            losses.add(tool.where, "a tool that must not be called")
    if left:
        body["tools"] = [_tool(tool, losses) for tool in left]
        _choice(request, body, losses)
        return
    for name, given in (("tool_choice", choice), ("settings.parallel_tools", request.settings.parallel_tools)):
        if given is not None:
            lose(request, name, losses, "not without tools")


def _tool(tool: Tool, losses: Losses) -> _Block:
    if tool.native:
        if tool.native != NAME or tool.parameters is None:
            raise Unrepresentable(tool.where, "a tool that another provider has")
        return tool.parameters
    if tool.custom or tool.grammar is not None:
        raise Unrepresentable(tool.where, "a tool that takes text")
    block: _Block = {"name": tool.name}
    if tool.description:
        block["description"] = tool.description
    schema = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters
    block["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
    if tool.strict is not None:
        block["strict"] = tool.strict
    return write.with_cache(block, tool.cache, tool.where, losses)


def _choice(request: Request, body: dict[str, Any], losses: Losses) -> None:
    choice, parallel = request.tool_choice, request.settings.parallel_tools
    if choice is None and parallel is None:
        return
    said: _Block = {"type": "auto"}
    if choice and choice.mode == "named":
        said = {"type": "tool", "name": choice.names[0]} if choice.names else {"type": "any"}
    elif choice:
        said = {"type": _MODES[choice.mode]}
    if parallel is not None and said["type"] != "none":
        said["disable_parallel_tool_use"] = not parallel
    elif parallel is not None:
        lose(request, "settings.parallel_tools", losses, "not without tools")
    body["tool_choice"] = said


# everything else


def _output(request: Request, body: dict[str, Any], losses: Losses) -> None:
    shape = request.output
    if shape is None:
        return
    if shape.schema is None:
        lose(request, "output", losses, "JSON without a schema")
        return
    body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": shape.schema}
    if shape.name or shape.description:
        lose(request, "output", losses, "a schema's name")
    if shape.strict is False:
        lose(request, "output", losses, "a schema that need not be kept")


_STANDS_FOR_NOTHING: Final[dict[str, Callable[[Any], bool]]] = {
    "choices": lambda value: value == 1,
    "frequency_penalty": lambda value: value == 0,
    "presence_penalty": lambda value: value == 0,
}
"""Values that ask for what Anthropic does anyway."""


def _settings(request: Request, body: dict[str, Any], losses: Losses) -> None:
    given = request.settings
    for name in _NO_WORD:
        value = getattr(given, name)
        if value not in (None, "") and not (name in _STANDS_FOR_NOTHING and _STANDS_FOR_NOTHING[name](value)):
            lose(request, f"settings.{name}", losses)
    if any(modality != "text" for modality in given.modalities):
        lose(request, "settings.modalities", losses)
    stop = []
    for index, each in enumerate(given.stop):
        if each.strip():
            stop.append(each)
        else:
            losses.add(place(request, "settings.stop", index), "white space alone")
    if stop:
        body["stop_sequences"] = stop
    if tier := _TIERS.get(given.service_tier):
        body["service_tier"] = tier
    elif given.service_tier:
        lose(request, "settings.service_tier", losses, "no such value")
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.metadata:
        lose(request, "metadata", losses)
