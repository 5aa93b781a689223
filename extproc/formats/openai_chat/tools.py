"""Tools, how they are chosen, and calls of them.

Source: OpenAI API reference, "Chat Completions"; Google, "OpenAI compatibility" (``extra_content``); LiteLLM and OpenRouter,
"Prompt Caching" (``cache_control``).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, Literal

from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, ToolCall
from extproc.chat.request import Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_chat.checked import flag, items, record, string, unknown
from extproc.framing.jsontext import Path

NAME: Final = "openai-chat"
_TOOL: Final = frozenset({"type", "function", "cache_control"})
_FUNCTION: Final = frozenset({"name", "description", "parameters", "strict", "cache_control"})
_MODES: Final[dict[str, Literal["auto", "none", "required"]]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",  # Mistral's word
}


# tools that are offered


def read_tool(value: Any, where: Path, losses: Losses) -> Tool:
    """One entry of ``tools``; a type we do not know is native."""
    tool = record(value, "a tool")
    if tool.get("type", "function") == "function" and "function" in tool:
        unknown(tool, _TOOL, where, losses)
        function = record(tool["function"], "function")
        found = read_function(function, (*where, "function"), losses)
        found.cache = read_cache(tool) or read_cache(function)
    elif tool.get("type") == "custom" and "custom" in tool:
        custom = record(tool["custom"], "custom")
        grammar = (custom.get("format") or {}).get("grammar") if isinstance(custom.get("format"), dict) else None
        found = Tool(string(custom.get("name"), "name"), string(custom.get("description"), "description"), custom=True)
        found.grammar = None if grammar is None else record(grammar, "grammar")
        found.cache = read_cache(tool)
    else:
        type_ = tool.get("type")
        found = Tool(type_ if isinstance(type_, str) else "", parameters=tool, native=NAME)
    found.where = where
    return found


def read_function(function: dict[str, Any], where: Path, losses: Losses) -> Tool:
    """A function, of ``tools`` or of the legacy ``functions``."""
    unknown(function, _FUNCTION, where, losses)
    parameters, strict = function.get("parameters"), function.get("strict")
    return Tool(
        string(function.get("name"), "a function's name"),
        string(function.get("description"), "a function's description"),
        None if parameters is None else record(parameters, "parameters"),
        None if strict is None else flag(strict, "strict"),
        where=where,
    )


def write_tool(tool: Tool, *, extensions: bool, losses: Losses) -> dict[str, Any]:
    """One entry of ``tools``.

    Raises:
        Unrepresentable: it is another provider's own.
    """
    if tool.native:
        if tool.native != NAME:
            raise Unrepresentable(tool.where, "a tool of another provider's own")
        return tool.parameters or {}
    told: dict[str, Any] = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    cache = write_cache(tool.cache, tool.where, extensions=extensions, losses=losses)
    if tool.custom:
        if tool.grammar:
            syntax = {name: tool.grammar[name] for name in ("definition", "syntax") if name in tool.grammar}
            told["format"] = {"type": "grammar", "grammar": syntax}
        return {"type": "custom", "custom": told, **cache}
    if tool.parameters is not None:
        told["parameters"] = tool.parameters
    if tool.strict is not None:
        told["strict"] = tool.strict
    return {"type": "function", "function": told, **cache}


def read_cache(value: dict[str, Any]) -> Cache | None:
    """A mark to cache up to here."""
    mark = value.get("cache_control")
    if mark is None:
        return None
    return Cache(string(record(mark, "cache_control").get("ttl"), "ttl"))


def write_cache(cache: Cache | None, where: Path, *, extensions: bool, losses: Losses) -> dict[str, Any]:
    """The member that marks; none where the server does not know it (OpenAI caches unasked)."""
    if cache is None:
        return {}
    if not extensions:
        losses.add(where, "cache mark")
        return {}
    return {"cache_control": {"type": "ephemeral"} | ({"ttl": cache.ttl} if cache.ttl else {})}


# which are to be called


def read_choice(value: Any) -> ToolChoice | None:
    """``tool_choice``, or the legacy ``function_call``."""
    if value is None:
        return None
    if isinstance(value, str):
        if value not in _MODES:
            raise DecodeError("tool_choice has an unknown value")
        return ToolChoice(_MODES[value])
    choice = record(value, "tool_choice")
    if choice.get("type") == "allowed_tools":
        allowed = record(choice.get("allowed_tools"), "allowed_tools")
        mode = _MODES.get(string(allowed.get("mode"), "mode"))
        if mode is None:
            raise DecodeError("allowed_tools has an unknown mode")
        return ToolChoice(mode, tuple(_named(each) for each in items(allowed.get("tools"), "tools")))
    return ToolChoice("named", (_named(choice),))


def _named(value: Any) -> str:
    choice = record(value, "a tool's choice")
    inner = choice.get("function") or choice.get("custom") or choice
    name = string(record(inner, "a tool's choice").get("name"), "name")
    if not name:
        raise DecodeError("tool_choice names no tool")
    return name


def write_choice(choice: ToolChoice, tools: list[Tool]) -> Any:
    """``tool_choice``."""
    custom = {tool.name for tool in tools if tool.custom}
    named = [
        {"type": kind, kind: {"name": name}}
        for name in choice.names
        for kind in ("custom" if name in custom else "function",)
    ]
    if choice.mode == "named" and named:
        return named[0]
    if named:
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}
    return "required" if choice.mode == "named" else choice.mode


# calls


def read_call(value: Any, id_: str, where: Path) -> ToolCall:
    """A call in a whole message; ``id_`` is for one that has none."""
    call = record(value, "a tool call")
    custom = call.get("type") == "custom" or ("custom" in call and "function" not in call)
    inner = record(call.get("custom" if custom else "function"), "a tool call's function")
    arguments = inner.get("input" if custom else "arguments")
    signature = read_signature(call)
    return ToolCall(
        string(call.get("id"), "id") or id_,
        string(inner.get("name"), "a called function's name"),
        string(arguments, "arguments"),
        custom,
        signature,
        "gemini" if signature else "",
        read_cache(call),
        where,
    )


def read_signature(call: dict[str, Any]) -> str:
    """Gemini's signature of a call."""
    inner: Any = call
    for name in ("extra_content", "google", "thought_signature"):
        inner = inner.get(name) if isinstance(inner, dict) else None
    return inner if isinstance(inner, str) else ""


def write_call(call: ToolCall, id_: str) -> dict[str, Any]:
    """A call in a whole message. Arguments that were left out are an empty object, as clients parse them."""
    if call.custom:
        return {"id": id_, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": id_, "type": "function", "function": function}


def write_signature(maker: str, signature: str) -> dict[str, Any]:
    """The member of a call that carries Gemini's signature."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if maker == "gemini" and signature else {}


def made_id(answer_id: str, choice: int, number: int) -> str:
    """An id for a call that came without: the same whenever the same answer is read."""
    return "call_" + hashlib.sha256(f"{answer_id} {choice} {number}".encode()).hexdigest()[:24]


_LONGEST: Final = 40
"""OpenAI refuses longer ids of calls in messages."""
_NINE: Final = re.compile(r"[A-Za-z0-9]{9}")


def fitted(id_: str, *, short: bool) -> str:
    """An id as a provider accepts it, always the same for the same; ``short``: nine letters and digits (Mistral)."""
    if short:
        return id_ if _NINE.fullmatch(id_) else hashlib.sha256(id_.encode()).hexdigest()[:9]
    if 0 < len(id_) <= _LONGEST:
        return id_
    return "call_" + hashlib.sha256(id_.encode()).hexdigest()[:32]
