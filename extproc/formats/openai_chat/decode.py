"""A request, into the canonical form.

Source: OpenAI API reference, "Create chat completion"; what compatible servers add: OpenRouter, "Parameters" and "Reasoning
Tokens"; LiteLLM, "Reasoning Content"; Groq, "Reasoning".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.openai_chat.checked import flag, items, number, record, string, whole
from extproc.formats.openai_chat.messages import Reader
from extproc.formats.openai_chat.tools import NAME, read_choice, read_function, read_tool

_SETTINGS: Final[dict[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "max_tokens": ("max_output", whole),
    "max_completion_tokens": ("max_output", whole),  # after the name it replaces: it counts where both are there
    "temperature": ("temperature", number),
    "top_p": ("top_p", number),
    "top_k": ("top_k", whole),
    "min_p": ("min_p", number),
    "seed": ("seed", whole),
    "random_seed": ("seed", whole),
    "frequency_penalty": ("frequency_penalty", number),
    "presence_penalty": ("presence_penalty", number),
    "n": ("choices", whole),
    "parallel_tool_calls": ("parallel_tools", flag),
    "verbosity": ("verbosity", string),
    "logit_bias": ("logit_bias", record),
    "service_tier": ("service_tier", string),
}
"""Field, setting, how it is read."""
_READ: Final = frozenset({
    *_SETTINGS, "model", "messages", "stream", "stream_options", "stop", "logprobs", "top_logprobs", "modalities", "tools",
    "functions", "tool_choice", "function_call", "response_format", "reasoning_effort", "reasoning", "thinking",
    "include_reasoning", "reasoning_format", "web_search_options", "user", "safety_identifier", "metadata",
})  # fmt: skip
_TUNING: Final = frozenset({
    "prediction", "store", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "audio", "provider",
    "transforms",
})  # fmt: skip
"""Known, and without an equal elsewhere; the answer is the same in kind without them."""
_ESSENTIAL: Final = frozenset(
    {"data_sources", "plugins", "conversation", "previous_response_id", "prompt", "background"}
)
"""What changes what is asked, so that it must not be left out."""


def decode_request(body: dict[str, Any], losses: Losses) -> Request:
    """See ``Codec.decode_request``."""
    request = Request(string(record(body, "the body").get("model"), "model"))
    for name, value in body.items():
        if value is None:
            continue
        if name in _ESSENTIAL:
            raise Unrepresentable((name,), "a field without an equal in other formats")
        if name not in _READ:
            losses.add((name,), "not supported" if name in _TUNING else "unknown field")
    request.stream = body.get("stream") is True
    request.usage = record(body.get("stream_options") or {}, "stream_options").get("include_usage") is True
    reader = Reader(losses)
    if not isinstance(body.get("messages"), list):
        raise DecodeError("messages is not an array")
    for at, message in enumerate(body["messages"]):
        reader.read(message, ("messages", at))
    request.messages = reader.messages
    _settings(body, request)
    _tools(body, request, losses)
    request.output = _output(body, request)
    request.thinking = _thinking(body, request)
    _caller(body, request)
    return request


def _settings(body: dict[str, Any], request: Request) -> None:
    settings = request.settings
    for name, (setting, read) in _SETTINGS.items():
        if body.get(name) is not None:
            setattr(settings, setting, read(body[name], name))
            request.where[f"settings.{setting}"] = (name,)
    _weigh(settings.logit_bias)
    stop = body.get("stop")
    if stop is not None:
        settings.stop = [string(each, "stop") for each in ([stop] if isinstance(stop, str) else items(stop, "stop"))]
        request.where["settings.stop"] = ("stop",)
    if body.get("logprobs") is not None and flag(body["logprobs"], "logprobs"):
        settings.logprobs = whole(body.get("top_logprobs") or 0, "top_logprobs")
        request.where["settings.logprobs"] = ("logprobs",)
    _modalities(body, settings)
    if settings.modalities:
        request.where["settings.modalities"] = ("modalities",)


def _weigh(bias: dict[str, float] | None) -> None:
    for value in (bias or {}).values():
        number(value, "logit_bias")


def _modalities(body: dict[str, Any], settings: Settings) -> None:
    settings.modalities = [string(each, "modalities") for each in items(body.get("modalities"), "modalities")]
    if "audio" in settings.modalities:
        raise Unrepresentable(("modalities",), "spoken answers")


def _tools(body: dict[str, Any], request: Request, losses: Losses) -> None:
    for at, tool in enumerate(items(body.get("tools"), "tools")):
        request.tools.append(read_tool(tool, ("tools", at), losses))
    for at, function in enumerate(items(body.get("functions"), "functions")):
        where = ("functions", at)
        request.tools.append(read_function(record(function, "a function"), where, losses))
    if body.get("web_search_options") is not None:
        search = {"web_search_options": record(body["web_search_options"], "web_search_options")}
        request.tools.append(Tool("web_search", parameters=search, native=NAME, where=("web_search_options",)))
    for name in ("tool_choice", "function_call"):
        if body.get(name) is not None:
            request.tool_choice = read_choice(body[name])
            request.where["tool_choice"] = (name,)
            return


def _output(body: dict[str, Any], request: Request) -> OutputShape | None:
    shape = record(body.get("response_format") or {}, "response_format")
    if not shape or shape.get("type") == "text":
        return None
    request.where["output"] = ("response_format",)
    if shape.get("type") == "json_object":
        return OutputShape()
    if shape.get("type") != "json_schema":
        raise Unrepresentable(("response_format",), "an output of this type")
    inner = record(shape.get("json_schema"), "json_schema")
    schema, strict = inner.get("schema"), inner.get("strict")
    return OutputShape(
        {} if schema is None else record(schema, "schema"),
        string(inner.get("name"), "name"),
        string(inner.get("description"), "description"),
        None if strict is None else flag(strict, "strict"),
    )


def _thinking(body: dict[str, Any], request: Request) -> Thinking | None:
    """OpenAI's effort, OpenRouter's ``reasoning``, LiteLLM's ``thinking``, Groq's ways to hide it."""
    found = Thinking(string(body.get("reasoning_effort"), "reasoning_effort"))
    more = body.get("reasoning")
    if isinstance(more, dict):
        found.effort = string(more.get("effort"), "effort") or found.effort
        found.budget = None if more.get("max_tokens") is None else whole(more["max_tokens"], "max_tokens")
        found.show = None if more.get("exclude") is None else not flag(more["exclude"], "exclude")
        _enabled(found, more.get("enabled"))
    thinking = body.get("thinking")
    if isinstance(thinking, dict):
        if thinking.get("budget_tokens") is not None:
            found.budget = whole(thinking["budget_tokens"], "budget_tokens")
        _enabled(found, {"enabled": True, "adaptive": True, "disabled": False}.get(str(thinking.get("type"))))
    if body.get("include_reasoning") is not None:
        found.show = flag(body["include_reasoning"], "include_reasoning")
    if body.get("reasoning_format") is not None:
        found.show = body["reasoning_format"] != "hidden"
    for name in ("reasoning_effort", "reasoning", "thinking", "include_reasoning", "reasoning_format"):
        if body.get(name) is not None:
            request.where.setdefault("thinking", (name,))
    return None if found == Thinking() else found


def _enabled(found: Thinking, enabled: Any) -> None:
    if found.effort or found.budget is not None:
        return
    if enabled is True:
        found.budget = -1
    elif enabled is False:
        found.effort = "none"


def _caller(body: dict[str, Any], request: Request) -> None:
    for name in ("safety_identifier", "user"):
        if value := string(body.get(name), name):
            request.user = value
            request.where["user"] = (name,)
            break
    if body.get("metadata") is not None:
        request.metadata = record(body["metadata"], "metadata")
        request.where["metadata"] = ("metadata",)
