"""InvokeModel for Claude: the bodies are those of Anthropic's messages, streams and errors are AWS's.

Source: Amazon Bedrock user guide, "Anthropic Claude Messages API". Model and stream are told by the path, and
``anthropic_version`` stands in the body. Each chunk carries one of Anthropic's events, whose type it says itself.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Failure, StreamEvent
from extproc.chat.codec import Codec, Context, StreamDecoder, StreamEncoder
from extproc.chat.losses import Losses
from extproc.chat.request import Request
from extproc.errors import DecodeError
from extproc.formats.anthropic import AnthropicMessages
from extproc.formats.anthropic.codec import AnthropicCodec
from extproc.formats.base import Brief
from extproc.formats.base import Ending as Ends
from extproc.formats.bedrock.answer import decode_error, encode_error
from extproc.formats.bedrock.family import AWS
from extproc.formats.bedrock.words import exception
from extproc.framing.aws import CARRIED, carrying, framed
from extproc.framing.base import Framing
from extproc.framing.jsontext import dump, parse
from extproc.framing.sse import SSE

_VERSION: Final = "bedrock-2023-05-31"
_MAX: Final = 1 << 26


def carried(stream: bytes) -> bytes:
    """Events of Anthropic's stream as chunks of AWS's; an error as an exception."""
    reader = SSE.reader(_MAX)
    out: list[bytes] = []
    for event in [*reader.feed(stream), *reader.close()]:
        if event.name == "error" and event.data:
            message = dump({"message": parse(event.data)["error"]["message"]})
            out.append(framed("internalServerException", message, "exception"))
        elif event.data:
            out.append(carrying(event.data))
    return b"".join(out)


class InvokeCodec(AnthropicCodec):
    """See ``chat.codec.Codec``."""

    name = "bedrock-invoke-anthropic"

    def decode_request(self, body: dict[str, Any], losses: Losses, *, model: str = "", stream: bool = False) -> Request:
        """A request body; what it says of model and stream does not count here."""
        rest = {name: value for name, value in body.items() if name not in ("model", "stream")}
        return super().decode_request(rest, losses, model=model, stream=stream)

    def encode_request(self, request: Request, losses: Losses) -> dict[str, Any]:
        """A body for Claude on Bedrock."""
        body = super().encode_request(request, losses)
        rest = {name: value for name, value in body.items() if name not in ("model", "stream")}
        return {"anthropic_version": _VERSION, **rest}

    def decode_error(self, status: int, body: Any) -> Failure:
        """A provider's error body."""
        return decode_error(status, body)

    def encode_error(self, failure: Failure) -> dict[str, Any]:
        """An error body for a client."""
        return encode_error(failure)

    def decoder(self, losses: Losses | None = None) -> StreamDecoder:
        """Reads one stream."""
        return _Decoder(super().decoder(losses))

    def encoder(self, context: Context, losses: Losses) -> StreamEncoder:
        """Writes one stream."""
        return _Encoder(super().encoder(context, losses))


class _Decoder:
    """See ``chat.codec.StreamDecoder``: exceptions are AWS's, all else is Anthropic's."""

    __slots__ = ("_failed", "_inner")

    def __init__(self, inner: StreamDecoder) -> None:
        self._inner = inner
        self._failed = False

    def decode(self, name: str, data: bytes) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        if self._failed:
            return []
        if not name.endswith("Exception"):
            return self._inner.decode("", data)
        value = parse(data)
        told = value.get(name) if isinstance(value, dict) else None
        if not isinstance(told, dict):
            raise DecodeError("an exception says nothing")
        self._failed = True
        return [decode_error(0, told, name)]

    def close(self) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        return [] if self._failed else self._inner.close()


class _Encoder:
    """See ``chat.codec.StreamEncoder``."""

    __slots__ = ("_inner",)

    def __init__(self, inner: StreamEncoder) -> None:
        self._inner = inner

    def encode(self, event: StreamEvent) -> bytes:
        """See ``StreamEncoder``."""
        if not isinstance(event, Failure):
            return carried(self._inner.encode(event))
        if not self._inner.encode(event):  # it has ended before
            return b""
        return framed(exception(event.kind), dump(encode_error(event)), "exception")

    def close(self) -> bytes:
        """See ``StreamEncoder``."""
        return carried(self._inner.close())


class Ending(Brief):
    """See ``formats.base.Ending``."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Ends) -> None:
        self._inner = inner

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        self._inner.see(event)

    def end(self, text: str) -> bytes:
        """See ``Ending``."""
        return carried(self._inner.end(text))


_CODEC: Final = InvokeCodec()


class InvokeClaude(AWS, AnthropicMessages):
    """See ``formats.base.Format``."""

    name = InvokeCodec.name
    framing: Framing = CARRIED
    codec: Codec | None = _CODEC

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole stream that says ``text``."""
        return carried(super().reply_stream(text, model, request_id, created, refuses=refuses))

    def ending(self) -> Ends:
        """Follows one stream."""
        return Ending(super().ending())
