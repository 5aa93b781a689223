"""Errors of Google's APIs, to and fro.

Source: Google API Improvement Proposal 193, "Errors"; google.rpc.Code; Gemini API guides, "Troubleshooting".
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Failure, FailureKind
from extproc.formats.google import error_body

_WORDS: Final = {
    "INVALID_ARGUMENT": FailureKind.INVALID,
    "FAILED_PRECONDITION": FailureKind.INVALID,
    "OUT_OF_RANGE": FailureKind.INVALID,
    "UNAUTHENTICATED": FailureKind.AUTHENTICATION,
    "PERMISSION_DENIED": FailureKind.PERMISSION,
    "NOT_FOUND": FailureKind.NOT_FOUND,
    "RESOURCE_EXHAUSTED": FailureKind.RATE_LIMIT,
    "UNAVAILABLE": FailureKind.OVERLOADED,
    "DEADLINE_EXCEEDED": FailureKind.TIMEOUT,
}
_STATUS: Final = {
    401: FailureKind.AUTHENTICATION, 403: FailureKind.PERMISSION, 404: FailureKind.NOT_FOUND, 408: FailureKind.TIMEOUT,
    413: FailureKind.TOO_LARGE, 429: FailureKind.RATE_LIMIT, 503: FailureKind.OVERLOADED, 504: FailureKind.TIMEOUT,
}  # fmt: skip
_KEY: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
"""Reasons of a key that is wrong, which Gemini calls an invalid argument."""


def read(status: int, body: Any) -> Failure:
    """A provider's error; ``status`` is HTTP's, 0 where the error came in a stream. Never raises."""
    if isinstance(body, list) and body:  # what a stream without alt=sse begins with
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    given: dict[str, Any] = error if isinstance(error, dict) else {}
    own = given.get("code")
    if not status:
        status = own if isinstance(own, int) and not isinstance(own, bool) and 400 <= own < 600 else 500
    word, message = given.get("status"), given.get("message")
    code = _reason(given.get("details")) or (word if isinstance(word, str) else "")
    said = message if isinstance(message, str) and message else "The provider reported an error."
    return Failure(_kind(status, word, code), said, code, status)


def _kind(status: int, word: Any, code: str) -> FailureKind:
    if code in _KEY:
        return FailureKind.AUTHENTICATION
    if status in _STATUS:
        return _STATUS[status]
    known = _WORDS.get(word) if isinstance(word, str) else None
    return known or (FailureKind.INVALID if 400 <= status < 500 else FailureKind.INTERNAL)


def _reason(details: Any) -> str:
    """The reason in the details, a word for machines."""
    for each in details if isinstance(details, list) else ():
        reason = each.get("reason") if isinstance(each, dict) else None
        if isinstance(reason, str) and reason:
            return reason
    return ""


def write(failure: Failure) -> dict[str, Any]:
    """An error body for a client."""
    return error_body(failure.status, failure.message, failure.code, failure.param)
