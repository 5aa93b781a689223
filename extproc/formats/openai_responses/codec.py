"""The Responses API's way in and out of the canonical form."""

from __future__ import annotations

from typing import Any

from extproc.chat.answer import Answer, Failure
from extproc.chat.codec import Context, StreamDecoder, StreamEncoder
from extproc.chat.losses import Losses
from extproc.chat.request import Request
from extproc.formats.openai_responses import answers, failures, shapes
from extproc.formats.openai_responses.decode import decode_request
from extproc.formats.openai_responses.encode import encode_request
from extproc.formats.openai_responses.stream import Decoder
from extproc.formats.openai_responses.writer import Encoder


class OpenAIResponsesCodec:
    """See ``chat.codec.Codec``."""

    name = shapes.NAME

    def decode_request(self, body: dict[str, Any], losses: Losses, *, model: str = "", stream: bool = False) -> Request:
        """See ``Codec``."""
        return decode_request(body, losses, model=model, stream=stream)

    def encode_request(self, request: Request, losses: Losses) -> dict[str, Any]:
        """See ``Codec``."""
        return encode_request(request, losses)

    def decode_answer(self, body: Any, losses: Losses | None = None) -> Answer:
        """See ``Codec``."""
        return answers.decode_answer(body, losses or Losses())

    def encode_answer(self, answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
        """See ``Codec``."""
        return answers.encode_answer(answer, context, losses)

    def decode_error(self, status: int, body: Any) -> Failure:
        """See ``Codec``."""
        return failures.read(status, body)

    def encode_error(self, failure: Failure) -> dict[str, Any]:
        """See ``Codec``."""
        return failures.write(failure)

    def decoder(self, losses: Losses | None = None) -> StreamDecoder:
        """See ``Codec``."""
        return Decoder(losses or Losses())

    def encoder(self, context: Context, losses: Losses) -> StreamEncoder:
        """See ``Codec``."""
        return Encoder(context, losses)
