"""Usage, finish reasons and errors: the words of the API for what the canonical form knows.

Source: OpenAI API reference, "Chat Completions" (``usage``, ``finish_reason``), "Errors"; DeepSeek
(``prompt_cache_hit_tokens``), OpenRouter (``cache_write_tokens``), xAI (reasoning beside the completion), Groq (``x_groq``).
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Failure, FailureKind, Finish, Usage
from extproc.chat.parts import Part, ToolCall
from extproc.formats.openai_failures import BY_STATUS, TYPES

_FINISHES: Final = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,  # Together
    "end_turn": Finish.STOP,
    "length": Finish.LENGTH,
    "model_length": Finish.LENGTH,  # Mistral
    "max_tokens": Finish.LENGTH,
    "tool_calls": Finish.TOOLS,
    "function_call": Finish.TOOLS,
    "content_filter": Finish.FILTER,
}
_WORDS: Final = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOLS: "tool_calls",
    Finish.FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
}


def read_finish(word: Any, *, calls: bool) -> Finish:
    """Why a choice ended. A choice with calls that just stopped (as one does whose tool was prescribed) ended for them."""
    found = _FINISHES.get(word, Finish.OTHER) if isinstance(word, str) else Finish.OTHER
    return Finish.TOOLS if calls and found is Finish.STOP else found


def has_calls(parts: list[Part]) -> bool:
    """Whether the model calls a tool."""
    return any(isinstance(part, ToolCall) for part in parts)


def write_finish(finish: Finish | None) -> str:
    """The word for it; ``stop`` where there is none that fits."""
    return _WORDS.get(finish or Finish.STOP, "stop")


def _count(mapping: Any, key: str) -> int:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if type(value) is int and value >= 0 else 0  # a bool is none


def read_usage(body: Any) -> Usage | None:
    """Tokens used, where an answer or event says so."""
    if not isinstance(body, dict):
        return None
    usage = body.get("usage")
    if not isinstance(usage, dict):
        groq = body.get("x_groq")
        usage = groq.get("usage") if isinstance(groq, dict) else None
        if not isinstance(usage, dict):
            return None
    put, made = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    inputs, outputs = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    reasoning = _count(made, "reasoning_tokens")
    if reasoning and _count(usage, "total_tokens") == inputs + outputs + reasoning:
        outputs += reasoning
    return Usage(
        input=inputs,
        output=outputs,
        cached=_count(put, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens"),
        reasoning=reasoning,
        cache_write=_count(put, "cache_write_tokens"),
        audio_input=_count(put, "audio_tokens"),
        audio_output=_count(made, "audio_tokens"),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The member ``usage``."""
    put = {"cached_tokens": usage.cached, "audio_tokens": usage.audio_input}
    if usage.cache_write:
        put["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": put,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output},
    }


# errors

_NAMED: Final = {name: kind for kind, name in TYPES.items()} | {
    "rate_limit_exceeded": FailureKind.RATE_LIMIT,
    "insufficient_quota": FailureKind.RATE_LIMIT,
    "tokens": FailureKind.RATE_LIMIT,
    "requests": FailureKind.RATE_LIMIT,
    "api_error": FailureKind.INTERNAL,
}
_FILTERED: Final = frozenset({"content_filter", "content_policy_violation"})


def read_error(status: int, body: Any) -> Failure:
    """A provider's error; ``status`` 200 for one in the middle of a stream. Never raises.

    Servers say ``{"error": {...}}``, ``{"error": "..."}``, ``{"message": ...}`` or ``{"detail": ...}``.
    """
    error = body.get("error", body) if isinstance(body, dict) else body
    told = error if isinstance(error, dict) else {"message": error}
    message, type_, code = told.get("message", told.get("detail")), told.get("type"), told.get("code")
    if status < 400:
        numbers = [value for value in (told.get("status_code"), code) if type(value) is int and 400 <= value < 600]
        status = numbers[0] if numbers else 500
        kind = _NAMED.get(type_) if isinstance(type_, str) else None
    else:
        kind = None
    if code in _FILTERED if isinstance(code, str) else False:
        kind = FailureKind.FILTERED
    kind = kind or BY_STATUS.get(status) or (FailureKind.INVALID if status < 500 else FailureKind.INTERNAL)
    param = told.get("param")
    return Failure(
        kind,
        message if isinstance(message, str) and message else "The provider answered with an error.",
        str(code) if isinstance(code, str | int) and not isinstance(code, bool) else "",
        status,
        param if isinstance(param, str) else "",
    )


def write_error(failure: Failure) -> dict[str, Any]:
    """An error body."""
    code = failure.code or (failure.kind.value if failure.kind is FailureKind.FILTERED else None)
    error = {"message": failure.message, "type": TYPES[failure.kind], "param": failure.param or None, "code": code}
    return {"error": error}
