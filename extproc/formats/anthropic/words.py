"""Anthropic's words for what every API has: kinds of errors, reasons to stop, counts of tokens.

Source: Claude API reference, "Errors", "Messages" and "Streaming messages".
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import FailureKind, Finish, Usage

NAME: Final = "anthropic-messages"
MAKER: Final = "claude"

_STATUSES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_KINDS: Final = {
    FailureKind.INVALID: "invalid_request_error",
    FailureKind.AUTHENTICATION: "authentication_error",
    FailureKind.PERMISSION: "permission_error",
    FailureKind.NOT_FOUND: "not_found_error",
    FailureKind.TOO_LARGE: "request_too_large",
    FailureKind.RATE_LIMIT: "rate_limit_error",
    FailureKind.OVERLOADED: "overloaded_error",
    FailureKind.TIMEOUT: "timeout_error",
    FailureKind.FILTERED: "invalid_request_error",
    FailureKind.INTERNAL: "api_error",
}
_TYPES: Final = {
    "invalid_request_error": (FailureKind.INVALID, 400),
    "authentication_error": (FailureKind.AUTHENTICATION, 401),
    "billing_error": (FailureKind.PERMISSION, 402),
    "permission_error": (FailureKind.PERMISSION, 403),
    "not_found_error": (FailureKind.NOT_FOUND, 404),
    "request_too_large": (FailureKind.TOO_LARGE, 413),
    "rate_limit_error": (FailureKind.RATE_LIMIT, 429),
    "timeout_error": (FailureKind.TIMEOUT, 504),
    "overloaded_error": (FailureKind.OVERLOADED, 529),
    "api_error": (FailureKind.INTERNAL, 500),
}
"""Types of errors, what they mean, and the status each usually comes with."""


def type_of_status(status: int) -> str:
    """The type of an error that has this HTTP status."""
    return _STATUSES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def type_of_kind(kind: FailureKind) -> str:
    """The type of a failure."""
    return _KINDS[kind]


def kind_of_type(name: Any, status: int) -> tuple[FailureKind, int]:
    """What an error's type means, and the status it has by itself.

    ``status`` decides where the type is not known; 0 if there is none, as in a stream.
    """
    if isinstance(name, str) and name in _TYPES:
        return _TYPES[name]
    status = status or 500
    return _TYPES[type_of_status(status)][0], status


_STOPS: Final = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOLS,
    "pause_turn": Finish.PAUSE,
    "refusal": Finish.REFUSAL,
}
REFUSED: Final = "refusal"
_FINISHES: Final = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOLS: "tool_use",
    Finish.FILTER: REFUSED,
    Finish.REFUSAL: REFUSED,
    Finish.PAUSE: "pause_turn",
    Finish.OTHER: "end_turn",
}


def finish(reason: Any) -> Finish | None:
    """Why an answer ended; None where it does not say."""
    if reason is None:
        return None
    return _STOPS.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER


def stop_reason(reason: Finish | None) -> str | None:
    """The same the other way round."""
    return _FINISHES[reason] if reason else None


def count(mapping: Any, name: str) -> int:
    """A number of tokens; 0 for what is none."""
    value = mapping.get(name) if isinstance(mapping, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def read_usage(usage: dict[str, Any]) -> Usage:
    """Counts of tokens. Anthropic counts what goes into a cache or comes from it apart from the other input."""
    cached, written = count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens")
    return Usage(
        input=count(usage, "input_tokens") + cached + written,
        output=count(usage, "output_tokens"),
        cached=cached,
        reasoning=count(usage.get("output_tokens_details"), "thinking_tokens"),
        cache_write=written,
    )


def write_usage(usage: Usage | None) -> dict[str, Any]:
    """The same the other way round; zeros where nothing is known."""
    usage = usage or Usage()
    said: dict[str, Any] = {
        "input_tokens": max(0, usage.input - usage.cached - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        said["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return said
