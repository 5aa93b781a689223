"""OpenAI chat completions' way in and out of the canonical form."""

from __future__ import annotations

from typing import Any

from extproc.chat.answer import Answer, Failure
from extproc.chat.codec import Context, StreamDecoder, StreamEncoder
from extproc.chat.losses import Losses
from extproc.chat.request import Request
from extproc.formats.openai_chat import answers, counts
from extproc.formats.openai_chat.chunks import Encoder
from extproc.formats.openai_chat.decode import decode_request
from extproc.formats.openai_chat.encode import Dialect, encode_request
from extproc.formats.openai_chat.stream import Decoder
from extproc.formats.openai_chat.tools import NAME


class OpenAIChatCodec:
    """See ``chat.codec.Codec``. ``dialect`` is how the provider speaks; clients are understood in all of them."""

    name = NAME

    def __init__(self, dialect: Dialect | None = None) -> None:
        self._dialect = dialect or Dialect()

    def decode_request(self, body: dict[str, Any], losses: Losses, *, model: str = "", stream: bool = False) -> Request:
        """See ``Codec``."""
        request = decode_request(body, losses)
        request.model = model or request.model
        request.stream = request.stream or stream
        return request

    def encode_request(self, request: Request, losses: Losses) -> dict[str, Any]:
        """See ``Codec``."""
        return encode_request(request, self._dialect, losses)

    def decode_answer(self, body: Any, losses: Losses | None = None) -> Answer:
        """See ``Codec``."""
        return answers.decode_answer(body, losses or Losses())

    def encode_answer(self, answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
        """See ``Codec``."""
        return answers.encode_answer(answer, context, losses)

    def decode_error(self, status: int, body: Any) -> Failure:
        """See ``Codec``."""
        return counts.read_error(status, body)

    def encode_error(self, failure: Failure) -> dict[str, Any]:
        """See ``Codec``."""
        return counts.write_error(failure)

    def decoder(self, losses: Losses | None = None) -> StreamDecoder:
        """See ``Codec``."""
        return Decoder(losses or Losses())

    def encoder(self, context: Context, losses: Losses) -> StreamEncoder:
        """See ``Codec``."""
        return Encoder(context, losses)
