"""What all APIs of OpenAI's have in common: where the model stands, errors, the list of models.

Source: OpenAI API reference, "Errors" and "Models".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from extproc.formats.base import Signed
from extproc.framing.base import Framing
from extproc.framing.jsontext import dump
from extproc.framing.sse import SSE


class OpenAI:
    """The common part of ``formats.base.Format``."""

    family = "openai"
    framing: Framing = SSE

    def model(self, body: dict[str, Any]) -> str | None:
        """The model a request names."""
        model = body.get("model")
        return model if isinstance(model, str) else None

    def streamed(self, body: dict[str, Any]) -> bool:
        """Whether a request asks for a stream."""
        return body.get("stream") is True

    def signed(self, body: Any) -> Iterable[Signed]:
        """Nothing."""
        return ()

    def error(self, status: int, code: str, message: str, kind: str, param: str = "") -> bytes:
        """An error body."""
        return dump({"error": {"message": message, "type": kind, "param": param or None, "code": code}})

    def error_headers(self, status: int) -> tuple[tuple[str, str], ...]:
        """None."""
        return ()

    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """An error in the middle of a stream (SDKs raise on it), and the stream's end."""
        return b"data: " + self.error(0, code, message, kind) + b"\n\ndata: [DONE]\n\n"

    def models(self, names: list[str]) -> bytes:
        """The list of models a caller may use."""
        return dump({"object": "list", "data": [_card(name) for name in names]})

    def model_card(self, name: str) -> bytes:
        """One of them."""
        return dump(_card(name))


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "llm-extproc"}
