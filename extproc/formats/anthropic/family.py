"""What all APIs of Anthropic's have in common: where the model stands, errors, the list of models.

Source: Claude API reference, "Errors", "Streaming messages" and "Models".
"""

from __future__ import annotations

from typing import Any, Final

from extproc.formats.anthropic.words import type_of_status
from extproc.framing.base import Framing
from extproc.framing.jsontext import dump
from extproc.framing.sse import SSE, framed

_IN_STREAMS: Final = {
    "invalid_request_error": "invalid_request_error",
    "policy_violation": "invalid_request_error",
    "authentication_error": "authentication_error",
    "permission_error": "permission_error",
    "rate_limit_error": "rate_limit_error",
}
"""In a stream there is no status to tell the type from; whatever is not here is the server's fault."""


class Anthropic:
    """The common part of ``formats.base.Format``."""

    family = "anthropic"
    framing: Framing = SSE

    def model(self, body: dict[str, Any]) -> str | None:
        """The model a request names."""
        model = body.get("model")
        return model if isinstance(model, str) else None

    def streamed(self, body: dict[str, Any]) -> bool:
        """Whether a request asks for a stream."""
        return body.get("stream") is True

    def error(self, status: int, code: str, message: str, kind: str, param: str = "") -> bytes:
        """An error body. Anthropic's has a type and a message, and no place for a code or a field's name."""
        return _error(type_of_status(status), message)

    def error_headers(self, status: int) -> tuple[tuple[str, str], ...]:
        """None."""
        return ()

    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """An error in the middle of a stream; SDKs raise on the event's name, and nothing follows it."""
        return framed(_error(_IN_STREAMS.get(kind, "api_error"), message), "error")

    def models(self, names: list[str]) -> bytes:
        """The list of models a caller may use."""
        data = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "1970-01-01T00:00:00Z",  # as the API has it for models whose date is not known
                "lifecycle": "active",
            }
            for name in names
        ]
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return dump({"data": data, "has_more": False, **ends})


def _error(kind: str, message: str) -> bytes:
    return dump({"type": "error", "error": {"type": kind, "message": message}})
