"""Errors of the Responses API, whole and in streams, read into the canonical form and written from it.

Source: OpenAI API reference, "Errors"; "Responses", ``error`` of the response object and the ``error`` event.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Failure, FailureKind
from extproc.formats.openai_failures import BY_STATUS, TYPES
from extproc.formats.openai_responses.shapes import string

_BY_WORD: Final = {word: kind for kind, word in TYPES.items()} | {
    "invalid_prompt": FailureKind.INVALID,
    "rate_limit_exceeded": FailureKind.RATE_LIMIT,
    "insufficient_quota": FailureKind.RATE_LIMIT,
    "too_many_requests": FailureKind.RATE_LIMIT,
    "content_policy_violation": FailureKind.FILTERED,
    "image_content_policy_violation": FailureKind.FILTERED,
    "bio_policy": FailureKind.FILTERED,
    "server_is_overloaded": FailureKind.OVERLOADED,
}
_STATUS: Final = {
    **{kind: status for status, kind in reversed(BY_STATUS.items())},
    FailureKind.INVALID: 400,
    FailureKind.FILTERED: 400,
}


def read(status: int, body: Any) -> Failure:
    """A provider's error body. Never raises."""
    error = body.get("error", body) if isinstance(body, dict) else None
    word = string(error, "code")
    kind = _BY_WORD.get(word) if _BY_WORD.get(word) is FailureKind.FILTERED else BY_STATUS.get(status)
    kind = kind or (FailureKind.INVALID if 400 <= status < 500 else FailureKind.INTERNAL)
    return _failure(kind, error, status)


def read_told(error: Any) -> Failure:
    """An error told in a stream, where no status comes with it: an ``error`` event, or a failed response's ``error``."""
    inner = error.get("error") if isinstance(error, dict) else None
    told = inner if isinstance(inner, dict) else error
    words = [_BY_WORD[word] for name in ("code", "type") if (word := string(told, name)) in _BY_WORD]
    kind = words[0] if words else FailureKind.INTERNAL
    return _failure(kind, told, _STATUS.get(kind, 500))


def _failure(kind: FailureKind, error: Any, status: int) -> Failure:
    message = string(error, "message") or "The provider answered with an error."
    return Failure(kind, message, string(error, "code"), status, string(error, "param"))


def write(failure: Failure) -> dict[str, Any]:
    """An error body."""
    return {
        "error": {
            "message": failure.message,
            "type": TYPES[failure.kind],
            "param": failure.param or None,
            "code": failure.code or None,
        }
    }
