"""Gemini's way in and out of the canonical form; see ``chat.codec.Codec``."""

from __future__ import annotations

from typing import Any

from extproc.chat.answer import Answer, Failure
from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.request import Request
from extproc.formats.gemini import answers, errors, requests


class GeminiCodec:
    """See ``chat.codec.Codec``."""

    name = "gemini"

    def decode_request(self, body: dict[str, Any], losses: Losses, *, model: str = "", stream: bool = False) -> Request:
        """A request body."""
        return requests.read(body, losses, model, stream)

    def encode_request(self, request: Request, losses: Losses) -> dict[str, Any]:
        """A body for Gemini; the path has to name the model, and ``streamGenerateContent?alt=sse`` for a stream."""
        return requests.write(request, losses)

    def decode_answer(self, body: Any, losses: Losses | None = None) -> Answer:
        """A whole answer."""
        return answers.read(body, losses or Losses())

    def encode_answer(self, answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
        """A whole answer for a client."""
        return answers.write(answer, context, losses)

    def decode_error(self, status: int, body: Any) -> Failure:
        """A provider's error."""
        return errors.read(status, body)

    def encode_error(self, failure: Failure) -> dict[str, Any]:
        """An error body for a client."""
        return errors.write(failure)

    def decoder(self, losses: Losses | None = None) -> answers.Decoder:
        """Reads one stream."""
        return answers.Decoder(losses or Losses())

    def encoder(self, context: Context, losses: Losses) -> answers.Encoder:
        """Writes one stream."""
        return answers.Encoder(context, losses)
