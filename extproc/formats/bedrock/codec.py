"""The codec of Converse: see ``chat.codec.Codec``."""

from __future__ import annotations

from typing import Any

from extproc.chat.answer import Answer, Failure
from extproc.chat.codec import Context, StreamDecoder, StreamEncoder
from extproc.chat.losses import Losses
from extproc.chat.request import Request
from extproc.formats.bedrock import answer, decode, encode
from extproc.formats.bedrock.reading import Decoder
from extproc.formats.bedrock.words import NAME
from extproc.formats.bedrock.writing import Encoder


class ConverseCodec:
    """In and out of the canonical form."""

    name = NAME

    def decode_request(self, body: dict[str, Any], losses: Losses, *, model: str = "", stream: bool = False) -> Request:
        """A request body."""
        return decode.decode(body, losses, model, stream)

    def encode_request(self, request: Request, losses: Losses) -> dict[str, Any]:
        """A body for Bedrock."""
        return encode.encode(request, losses)

    def decode_answer(self, body: Any, losses: Losses | None = None) -> Answer:
        """A whole answer."""
        return answer.decode(body, losses or Losses())

    def encode_answer(self, answer_: Answer, context: Context, losses: Losses) -> dict[str, Any]:
        """A whole answer for a client."""
        return answer.encode(answer_, context, losses)

    def decode_error(self, status: int, body: Any) -> Failure:
        """A provider's error body."""
        return answer.decode_error(status, body)

    def encode_error(self, failure: Failure) -> dict[str, Any]:
        """An error body for a client."""
        return answer.encode_error(failure)

    def decoder(self, losses: Losses | None = None) -> StreamDecoder:
        """Reads one stream."""
        return Decoder(losses or Losses())

    def encoder(self, context: Context, losses: Losses) -> StreamEncoder:
        """Writes one stream."""
        return Encoder(context, losses)
