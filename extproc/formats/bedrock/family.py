"""What all APIs of Amazon Bedrock have in common: errors, the list of models; model and stream are told by the path.

Source: Amazon Bedrock API reference, "Common Errors", ``Converse``, ``ListFoundationModels``, and the service models in
botocore. SDKs take an error's name from a header (AWS restJson1 protocol, "Operation error serialization").
"""

from __future__ import annotations

from typing import Any, Final

from extproc.framing.aws import framed
from extproc.framing.base import Framing
from extproc.framing.jsontext import dump

_NAMES: Final = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    409: "ConflictException",
    413: "ValidationException",
    422: "ValidationException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    502: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
    504: "ServiceUnavailableException",
}
_EVENTS: Final = {
    "api_error": "internalServerException",
    "server_error": "internalServerException",
    "upstream_error": "modelStreamErrorException",
    "rate_limit_error": "throttlingException",
    "rate_limit_exceeded": "throttlingException",
    "overloaded_error": "serviceUnavailableException",
}
"""Exceptions of a stream by our kinds of errors; the rest is the client's or a policy's: ``validationException``."""


def error_name(status: int) -> str:
    """The name of an error with this status."""
    return _NAMES.get(status, "ValidationException" if status < 500 else "InternalServerException")


class AWS:
    """The common part of ``formats.base.Format``."""

    family = "aws"
    framing: Framing

    def model(self, body: dict[str, Any]) -> str | None:
        """None: the path says it."""
        return None

    def streamed(self, body: dict[str, Any]) -> bool:
        """Never by its body: the path says it."""
        return False

    def error(self, status: int, code: str, message: str, kind: str, param: str = "") -> bytes:
        """An error body; the rest is in the headers."""
        return dump({"message": message})

    def error_headers(self, status: int) -> tuple[tuple[str, str], ...]:
        """The error's name."""
        return (("x-amzn-errortype", error_name(status)),)

    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """An exception, which ends a stream."""
        return framed(_EVENTS.get(kind, "validationException"), dump({"message": message}), "exception")

    def models(self, names: list[str]) -> bytes:
        """The list of models a caller may use."""
        return dump({"modelSummaries": [_summary(name) for name in names]})

    def model_card(self, name: str) -> bytes:
        """One of them."""
        return dump({"modelDetails": _summary(name)})


def _summary(name: str) -> dict[str, str]:
    return {"modelArn": f"arn:aws:bedrock:::foundation-model/{name}", "modelId": name, "modelName": name}
