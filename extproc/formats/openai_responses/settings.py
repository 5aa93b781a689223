"""What a request of the Responses API sets besides its input, read and written: tools, shape of the answer, sampling.

Source: OpenAI API reference, "Responses", "Create a model response".
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.request import EFFORT_TOKENS, OutputShape, Request, Thinking, Tool, ToolChoice
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_responses.shapes import NAME, listed, string
from extproc.framing.jsontext import Path

_STORED: Final = ("previous_response_id", "conversation", "prompt", "background")
"""What refers to content the provider keeps, or leaves the answer with it."""
_NUMBERS: Final = {
    "max_output_tokens": "max_output",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_logprobs": "logprobs",
}
_READ: Final = frozenset({
    "model", "input", "instructions", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "text",
    "reasoning", "service_tier", "metadata", "user", "safety_identifier", "include", "store", "truncation",
    *_STORED, *_NUMBERS,
})  # fmt: skip
_SEALED: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"
_LEAST_OUTPUT: Final = 16


def decode(body: dict[str, Any], request: Request, losses: Losses) -> None:
    """Read everything but the input into a request.

    Raises:
        Unrepresentable: it refers to what only its provider has.
        DecodeError: a setting is of the wrong type.
    """
    for name in _STORED:
        if body.get(name):
            raise Unrepresentable((name,), "content or answers that the provider stores")
    for name, value in body.items():
        if name not in _READ and value is not None:
            losses.add((name,), "unknown field")
    _decode_sampling(body, request, losses)
    request.tools = [_decode_tool(each, ("tools", index), losses) for index, each in enumerate(_list(body, "tools"))]
    request.tool_choice = _decode_choice(body.get("tool_choice"))
    _decode_text(body, request, losses)
    _decode_reasoning(body, request, losses)


def _decode_sampling(body: dict[str, Any], request: Request, losses: Losses) -> None:
    found = request.settings
    for name, ours in _NUMBERS.items():
        value = body.get(name)
        if value is None:
            continue
        whole = name not in ("temperature", "top_p")
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise DecodeError(f"{name} is not a number")
        setattr(found, ours, value)
        request.where[f"settings.{ours}"] = (name,)
    parallel = body.get("parallel_tool_calls")
    found.parallel_tools = parallel if isinstance(parallel, bool) else None
    found.service_tier = string(body, "service_tier")
    request.user = string(body, "safety_identifier") or string(body, "user")
    metadata = body.get("metadata")
    request.metadata = dict(metadata) if isinstance(metadata, dict) else {}
    for wanted in _list(body, "include"):
        if wanted == _LOGPROBS:
            found.logprobs = found.logprobs or 0
            request.where.setdefault("settings.logprobs", ("include",))
        elif wanted != _SEALED:  # sealed reasoning is always given
            losses.add(("include",), "not available elsewhere")
    if body.get("store") is True:
        losses.add(("store",), "nothing is stored")
    if body.get("truncation") not in (None, "disabled"):
        losses.add(("truncation",), "nothing is truncated")


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, list):
        raise DecodeError(f"{name} is not a list")
    return value or []


def _decode_tool(tool: Any, where: Path, losses: Losses) -> Tool:
    kind = string(tool, "type")
    if not isinstance(tool, dict) or not kind:
        raise DecodeError("a tool has no type")
    if kind not in ("function", "custom"):
        return Tool(kind, parameters=tool, native=NAME, where=where)
    known = {"type", "name", "description", *(("parameters", "strict") if kind == "function" else ("format",))}
    for name in tool:
        if name not in known and tool[name] is not None:
            losses.add((*where, name), "unknown field")
    found = Tool(string(tool, "name"), string(tool, "description"), custom=kind == "custom", where=where)
    if kind == "function":
        found.parameters = tool["parameters"] if isinstance(tool.get("parameters"), dict) else None
        found.strict = True if tool.get("strict") is True else None  # see _encode_tool
    elif isinstance(form := tool.get("format"), dict) and form.get("type") == "grammar":
        found.grammar = {name: value for name, value in form.items() if name != "type"}
    return found


def _decode_choice(choice: Any) -> ToolChoice | None:
    if choice is None:
        return None
    if choice in ("auto", "none", "required"):
        return ToolChoice(choice)
    kind = string(choice, "type")
    if kind == "allowed_tools":
        names = tuple(string(each, "name") or string(each, "type") for each in listed(choice, "tools"))
        return ToolChoice("required" if choice.get("mode") == "required" else "auto", names)
    if not kind:
        raise DecodeError("the tool choice is none that is known")
    return ToolChoice("named", (string(choice, "name") or kind,))


def _decode_text(body: dict[str, Any], request: Request, losses: Losses) -> None:
    text = body.get("text")
    if not isinstance(text, dict):
        return
    request.settings.verbosity = string(text, "verbosity")
    for name in text:
        if name not in ("format", "verbosity") and text[name] is not None:
            losses.add(("text", name), "unknown field")
    form, kind = text.get("format"), string(text.get("format"), "type")
    if kind == "json_object":
        request.output = OutputShape()
    elif kind == "json_schema" and isinstance(form, dict):
        if not isinstance(form.get("schema"), dict):
            raise DecodeError("the schema of the answer is not an object")
        strict = form.get("strict")
        request.output = OutputShape(
            form["schema"],
            string(form, "name"),
            string(form, "description"),
            strict if isinstance(strict, bool) else None,
        )
    elif kind not in ("", "text"):
        raise Unrepresentable(("text", "format"), "a form of answer that is not known")
    request.where["output"] = ("text", "format")


def _decode_reasoning(body: dict[str, Any], request: Request, losses: Losses) -> None:
    reasoning = body.get("reasoning")
    if not isinstance(reasoning, dict):
        return
    known = ("effort", "summary", "generate_summary")
    for name in reasoning:
        if name not in known and reasoning[name] is not None:
            losses.add(("reasoning", name), "unknown field")
    effort = string(reasoning, "effort")
    shown = any(string(reasoning, name) for name in known[1:])
    if effort or shown:
        request.thinking = Thinking(effort, show=True if shown else None)
        request.where["thinking"] = ("reasoning",)


# writing


def encode(request: Request, losses: Losses) -> dict[str, Any]:
    """Everything of a request but the input."""
    body: dict[str, Any] = {"model": request.model}
    body |= {"stream": True} if request.stream else {}
    body["store"] = False  # other APIs store nothing, and their clients expect that
    _encode_sampling(request, losses, body)
    if request.tools:
        body["tools"] = [_encode_tool(each, losses) for each in request.tools]
    if request.tool_choice:
        body["tool_choice"] = _encode_choice(request.tool_choice, request.tools)
    text: dict[str, Any] = {}
    if request.output is not None:
        text["format"] = _encode_shape(request.output)
    if request.settings.verbosity:
        text["verbosity"] = request.settings.verbosity
    if text:
        body["text"] = text
    if request.thinking:
        body["reasoning"] = _encode_thinking(request.thinking)
        body["include"] = [*body.get("include", []), _SEALED]
    return body


_NO_WORD: Final = (
    "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "stop", "modalities",
)  # fmt: skip


def _encode_sampling(request: Request, losses: Losses, body: dict[str, Any]) -> None:
    said = request.settings
    for name in _NO_WORD:
        value = getattr(said, name)
        if value not in (None, [], {}) and (name, value) != ("modalities", ["text"]):
            _lose(request, name, losses, "no word for it")
    if said.choices not in (None, 1):
        _lose(request, "choices", losses, "only one answer is given")
    if said.max_output is not None:
        body["max_output_tokens"] = _within(request, "max_output", _LEAST_OUTPUT, None, losses)
    if said.temperature is not None:
        body["temperature"] = _within(request, "temperature", 0, 2, losses)
    if said.top_p is not None:
        body["top_p"] = _within(request, "top_p", 0, 1, losses)
    if said.logprobs is not None:
        body["include"] = [_LOGPROBS]
        body |= {"top_logprobs": _within(request, "logprobs", 0, 20, losses)} if said.logprobs else {}
    if said.parallel_tools is not None:
        body["parallel_tool_calls"] = said.parallel_tools
    body |= {"service_tier": said.service_tier} if said.service_tier else {}
    body |= {"safety_identifier": request.user} if request.user else {}
    if request.metadata:
        body["metadata"] = request.metadata


def _lose(request: Request, name: str, losses: Losses, why: str) -> None:
    losses.add(request.where.get(f"settings.{name}", (name,)), why)


def _within(request: Request, name: str, least: float, most: float | None, losses: Losses) -> Any:
    """A setting, brought into the range that is accepted."""
    value = getattr(request.settings, name)
    within = max(value, least) if most is None else min(max(value, least), most)
    if within != value:
        _lose(request, name, losses, "clamped")
    return within


def _encode_tool(tool: Tool, losses: Losses) -> dict[str, Any]:
    if tool.native:
        if tool.native != NAME:
            raise Unrepresentable(tool.where, "a tool that only its own provider has")
        return tool.parameters or {"type": tool.name}
    if tool.cache:
        losses.add(tool.where, "cache mark")
    described = {"description": tool.description} if tool.description else {}
    if tool.custom:
        form = {"format": {"type": "grammar", **tool.grammar}} if tool.grammar else {}
        return {"type": "custom", "name": tool.name, **described, **form}
    # left out it would mean strict, as far as the schema allows; elsewhere it means the opposite
    return {
        "type": "function", "name": tool.name, **described, "parameters": tool.parameters, "strict": tool.strict or False
    }  # fmt: skip


def _encode_choice(choice: ToolChoice, tools: list[Tool]) -> Any:
    by_name = {tool.name: tool for tool in tools}

    def named(name: str) -> dict[str, Any]:
        tool = by_name.get(name)
        if tool is not None and tool.native:
            return {"type": name}
        return {"type": "custom" if tool is not None and tool.custom else "function", "name": name}

    if choice.mode == "named" and choice.names:
        return named(choice.names[0])
    if choice.names and choice.mode in ("auto", "required"):
        return {"type": "allowed_tools", "mode": choice.mode, "tools": [named(name) for name in choice.names]}
    return "required" if choice.mode == "named" else choice.mode


def _encode_shape(shape: OutputShape) -> dict[str, Any]:
    if shape.schema is None:
        return {"type": "json_object"}
    made: dict[str, Any] = {"type": "json_schema", "name": shape.name or "answer", "schema": shape.schema}
    made |= {"description": shape.description} if shape.description else {}
    return made | ({"strict": shape.strict} if shape.strict is not None else {})


def _encode_thinking(thinking: Thinking) -> dict[str, Any]:
    effort = thinking.effort
    if not effort and thinking.budget is not None and thinking.budget >= 0:
        effort = min(EFFORT_TOKENS, key=lambda each: abs(EFFORT_TOKENS[each] - (thinking.budget or 0)))
    made: dict[str, Any] = {"effort": effort} if effort else {}
    return made | ({"summary": "auto"} if thinking.show else {})
