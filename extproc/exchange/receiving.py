"""The answer as it comes: in which format, how it is turned into the client's, and which of its headers go back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.errors import Refused
from extproc.events import Headers, Mutation, Pairs
from extproc.exchange import headers as hygiene
from extproc.exchange.answer import Inspection
from extproc.exchange.bodies import is_opaque
from extproc.exchange.converting import Conversion, Way, client_status
from extproc.exchange.forward import Replied, Sent
from extproc.exchange.limits import limits
from extproc.formats import openai_audio
from extproc.formats.base import Format
from extproc.formats.registry import FORMATS
from extproc.operations import Operation
from extproc.policy.api import Tally
from extproc.policy.chain import Chain
from extproc.runtime import Runtime
from extproc.telemetry import Record
from extproc.usage import Meter

_NOTHING: Final = Chain([])


@dataclass(slots=True)
class Received:
    """An answer's beginning: the client's format, what was sent, who answered, and with what headers."""

    format: Format
    sent: Sent
    by: Replied
    headers: Headers
    status: int

    @property
    def source(self) -> Format:
        """The format it comes in.

        Raises:
            Refused: nobody said which.
        """
        found = FORMATS.get(self.by.format)
        if found is None:
            raise Refused(502, "undecided", "The gateway does not know who answered.", "api_error")
        return found


def refusal(status: int) -> Refused:
    """A provider that refuses our key: its own text may show part of it."""
    return Refused(
        status, "provider_refused", "The provider refused the gateway's credentials.", "authentication_error"
    )


def inspection(
    received: Received, runtime: Runtime, record: Record, tally: Tally, meter: Meter, now: int
) -> Inspection:
    """What the answer is inspected with; its chain is the caller's to set.

    Raises:
        Refused: nobody knows in which format it comes.
    """
    source, target, wanted = received.source, received.format, received.sent.wanted
    found = Inspection(runtime, _NOTHING, tally, meter, target, hides_usage=received.sent.hides, listed=wanted.listed)
    media = received.headers.get("content-type", "").partition(";")[0].strip().lower()
    found.opaque = is_opaque(target)
    note_sound(found, wanted.operation, media, record)
    if source is not target and received.by.format != wanted.format:
        streamed = received.status == 200 and media == source.framing.media
        found.streams = wanted.stream and received.status == 200
        config = runtime.config
        way = Way(source, target, received.status, streamed, found.streams)
        context = Context(record.request_id, wanted.model, now, usage=received.sent.usage)
        losses = RecordedLosses(record)
        found.conversion = Conversion(
            way, context, losses, meter, max_event=config.processor.max_event, max_body=config.gateway.max_body
        )
    return found


def note_sound(found: Inspection, operation: str, media: str, record: Record) -> None:
    """Sound is not scanned, where it was asked for; whatever else a provider calls sound is looked at."""
    found.sounds = operation == Operation.SPEECH
    if found.sounds and openai_audio.sound(media) and "audio" not in record.unscanned:
        record.unscanned.append("audio")


class RecordedLosses(Losses):
    """Losses of an answer, straight into the exchange's record."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    def add(self, path: tuple[str | int, ...], reason: str) -> None:
        """Note one."""
        before = len(self.found)
        super().add(path, reason)
        self._record.losses += [f"{where}: {why}" for where, why in self.found[before:]]


def told_back(received: Received, looked: Inspection, now: float, *, changed: bool) -> Mutation:
    """What becomes of the answer's own headers; ``changed``: its body is not what was sent; ``now``: Unix time."""
    headers = received.headers
    remove = hygiene.not_back(headers, changed=changed)
    extra: Pairs = limits(headers, received.format.family, now)
    if looked.conversion:
        media = received.format.framing.content_type if looked.streams else "application/json"
        status = client_status(received.status) if received.format.family != "anthropic" else received.status
        extra += (("content-type", media), (":status", str(status)))
        extra += received.format.error_headers(status) if status >= 400 else ()
    return Mutation(set=extra, remove=remove)
