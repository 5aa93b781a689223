"""What all of Google's APIs have in common: no model and no stream in the body, errors, the list of models.

Source: Gemini API reference, "models.list"; Google API Improvement Proposal 193, "Errors"; google.rpc.Code.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.framing.base import Framing
from extproc.framing.jsontext import dump
from extproc.framing.sse import QUIET, framed

_STATUS: Final = {
    401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 501: "UNIMPLEMENTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_KINDS: Final = {
    "invalid_request_error": 400,
    "policy_violation": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "rate_limit_error": 429,
    "upstream_error": 502,
}
"""HTTP status of what goes wrong in the middle of a stream, where there is none any more."""
_METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")


def status_word(status: int) -> str:
    """The name of google.rpc.Code that goes with an HTTP status."""
    return _STATUS.get(status) or ("INVALID_ARGUMENT" if status < 500 else "INTERNAL")


def error_body(status: int, message: str, reason: str = "", param: str = "") -> dict[str, Any]:
    """An error; ``reason`` and ``param`` go where these APIs have room for a machine's words: into its details."""
    error: dict[str, Any] = {"code": status, "message": message, "status": status_word(status)}
    details: list[dict[str, Any]] = []
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        details.append({"@type": kind, "reason": reason, "domain": "llm-extproc"})
    if param:
        kind = "type.googleapis.com/google.rpc.BadRequest"
        details.append({"@type": kind, "fieldViolations": [{"field": param, "description": message}]})
    return {"error": {**error, "details": details} if details else error}


class Google:
    """The common part of ``formats.base.Format``."""

    family = "google"
    framing: Framing = QUIET  # google-genai parses every line that is not data as JSON
    streamed_text = b""  # every event counts tokens anew: hardly two are alike but for a text

    def without_padding(self, data: bytes) -> bytes:
        """There is none."""
        return data

    def model(self, body: dict[str, Any]) -> str | None:
        """None: the path names it."""
        return None

    def streamed(self, body: dict[str, Any]) -> bool:
        """False: the path says it."""
        return False

    def error(self, status: int, code: str, message: str, kind: str, param: str = "") -> bytes:
        """An error body."""
        return dump(error_body(status, message, code, param))

    def error_headers(self, status: int) -> tuple[tuple[str, str], ...]:
        """None."""
        return ()

    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """An error in the middle of a stream: SDKs raise on an event that begins with one. Nothing marks the end."""
        return framed(dump(error_body(_KINDS.get(kind, 500), message, code)))

    def models(self, names: list[str]) -> bytes:
        """The list of models a caller may use."""
        return dump({"models": [_card(name) for name in names]})

    def model_card(self, name: str) -> bytes:
        """One of them."""
        return dump(_card(name))


def _card(name: str) -> dict[str, Any]:
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": [*_METHODS]}
