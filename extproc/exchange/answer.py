"""The answer's body, in one of its three shapes: a guarded stream, a whole JSON document, or bytes nobody looks into.

Owns: which shape an answer has (decided by its status and content type, never by what the request asked for), content
codings, and what happens to an answer that cannot be inspected: it is refused, never passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from extproc.errors import DecodeError, LimitExceeded, Refused
from extproc.events import Headers
from extproc.exchange import whole
from extproc.exchange.converting import Conversion
from extproc.exchange.gate import Words
from extproc.exchange.hooks import Hooks
from extproc.exchange.streamed import GuardedStream, only_usage, without_usage
from extproc.formats import openai_audio, subtitles
from extproc.formats.base import Format
from extproc.formats.generic import GENERIC
from extproc.framing import compression
from extproc.framing.base import Event
from extproc.framing.jsontext import dump, parse
from extproc.policy.api import Outcome, Phase, Policy, Tally
from extproc.policy.chain import Chain
from extproc.runtime import Runtime
from extproc.usage import Meter


@dataclass(slots=True)
class Verdict:
    """What a piece of an answer came to.

    ``body`` goes to the client now; ``commit``: its headers with it; ``end``: nothing follows. ``refused`` says why the
    answer does not go on; where headers have not left it becomes an error response, otherwise ``body`` ends with the
    error in the stream. ``policy`` is the one that blocked.
    """

    body: bytes = b""
    commit: bool = False
    end: bool = False
    refused: Refused | None = None
    policy: Policy | None = None

    def then(self, last: Verdict) -> Verdict:
        """This and what the end of the body adds."""
        return Verdict(self.body + last.body, self.commit or last.commit, last.end, last.refused, last.policy)


class Answer(Protocol):
    """One answer's body under way. ``committed``: its headers have left. ``changes``: the bytes may not be the sent ones.

    ``speaks``: it can still say something of its own to the client. ``said``: where it is listened to, the words in what
    it has given out since somebody took them.
    """

    committed: bool
    changes: bool
    speaks: bool
    said: list[Words]

    @property
    def held(self) -> int:
        """Bytes held back or collected."""
        ...

    def feed(self, chunk: bytes) -> Verdict:
        """Take the next bytes."""
        ...

    def close(self) -> Verdict:
        """The body has ended."""
        ...

    def stop(self, refused: Refused, policy: Policy | None = None) -> Verdict:
        """End it here, telling the client why: ``policy`` blocked it, or there is no such."""
        ...


@dataclass(slots=True)
class Inspection:
    """What an answer is inspected with.

    ``format`` is the client's. ``conversion`` turns the answer into it first; ``streams``: it then is a stream.
    ``listens``: somebody wants to hear what it says. ``hides_usage``: a stream's usage was asked for by us, not by the
    client. ``listed``: the client wants the one answer in an array. ``hooks``: the operator's code that sees whole answers.
    ``sounds``: it may be sound, because that was asked for. ``text``: it is no JSON, but all one text. ``opaque``: nobody
    looks into it. ``passes``: whatever its status, it passes where no policy looks at it, and where it is empty.
    """

    runtime: Runtime
    chain: Chain
    tally: Tally
    meter: Meter
    format: Format
    conversion: Conversion | None = None
    streams: bool = False
    listens: bool = False
    hides_usage: bool = False
    listed: bool = False
    hooks: Hooks | None = None
    sounds: bool = False
    text: bool = False
    opaque: bool = False
    passes: bool = False


def answer_for(headers: Headers, status: int, inspection: Inspection) -> Answer:
    """The shape of an answer.

    Raises:
        Refused: it has none that can be inspected.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if inspection.opaque:
        return ObservedAnswer(inspection, streamed=False, reads=False)
    converts = inspection.conversion is not None
    if status == 200 and not converts and inspection.sounds and openai_audio.sound(media):
        return ObservedAnswer(inspection, streamed=False)  # what no text rule can read; the record says so
    streamed = inspection.streams if converts else status == 200 and media == inspection.format.framing.media
    guards = (
        inspection.listens
        or inspection.listed
        or inspection.hooks is not None
        or inspection.chain.guards(Phase.RESPONSE)
    )
    if (status == 200 or inspection.passes) and not guards and not converts:
        return ObservedAnswer(inspection, streamed=streamed)
    decoder = decoder_for(headers, inspection.runtime.config.gateway.max_body)
    if streamed:
        return StreamAnswer(inspection, decoder)
    return WholeAnswer(inspection, decoder, status, media)


def decoder_for(headers: Headers, most: int) -> compression.Decoder | None:
    """What decodes an answer, to at most so many bytes; None where it is not compressed.

    Raises:
        Refused: nobody here can.
    """
    coding = compression.coding(headers.get("content-encoding", ""))
    if coding not in compression.SUPPORTED:
        message = "The provider's answer is compressed in a way the gateway cannot read."
        raise Refused(502, "upstream_encoding", message, "api_error")
    return None if coding == "identity" else compression.Decoder(coding, most)


_OPENING_MAX: Final = 8192
"""What may wait for the first text, so that a block before it can still be a proper status."""


_USAGE: Final = re.compile(rb'"usage"\s*:\s*\{')
"""Many providers say ``"usage": null`` in every event but the last."""


class ObservedAnswer:
    """An answer no policy looks at: its bytes pass as they are, read along only for usage (which may not pass).

    Without ``reads``, not even that.
    """

    def __init__(self, inspection: Inspection, *, streamed: bool, reads: bool = True) -> None:
        runtime = inspection.runtime
        self._meter = inspection.meter
        self.said: list[Words] = []
        self._left = runtime.config.gateway.max_body
        self.speaks = streamed
        self._format = inspection.format
        self._hides = inspection.hides_usage and streamed
        self.changes = self._hides
        self._events = self._format.framing.reader(runtime.config.processor.max_event) if streamed else None
        self._body: bytearray | None = None if streamed or not reads else bytearray()
        self.committed = False

    def feed(self, chunk: bytes) -> Verdict:
        """See ``Answer.feed``."""
        if self._events is not None:
            return self._look(self._events.feed(chunk), chunk)
        if self._body is not None:
            self._left -= len(chunk)
            if self._left >= 0:
                self._body += chunk
            else:
                self._body = None
        return Verdict(chunk, commit=not self.committed)

    def close(self) -> Verdict:
        """See ``Answer.close``."""
        last = Verdict(commit=not self.committed)
        if self._events is not None:
            last = self._look(self._events.close(), b"")
        elif self._body:
            self._see(bytes(self._body))
        last.end = True
        return last

    def stop(self, refused: Refused, policy: Policy | None = None) -> Verdict:
        """See ``Answer.stop``."""
        if not self.committed:
            return Verdict(end=True, refused=refused, policy=policy)
        event = self._format.error_event(refused.code, refused.message, refused.kind)
        return Verdict(self._format.framing.mend() + event, end=True, refused=refused, policy=policy)

    @property
    def held(self) -> int:
        """See ``Answer.held``."""
        return len(self._body or b"")

    def _look(self, events: Iterator[Event], chunk: bytes) -> Verdict:
        """Look at what came with a chunk; returns what goes on."""
        kept: list[bytes] = []
        try:
            for event in events:
                value = self._see(event.data) if event.data and _USAGE.search(event.data) else None
                if not (self._hides and only_usage(value)):
                    kept.append(event.raw)
                elif rest := without_usage(event.data or b"", value):
                    kept.append(event.with_data(rest))
        except (DecodeError, LimitExceeded) as error:
            if self._hides:  # it was cut into events, so nobody knows which bytes would be left
                return self._broken(b"".join(kept), error)
            self._events = None  # no longer readable: the bytes go on, the count stays as it is
        return Verdict(b"".join(kept) if self._hides else chunk, commit=not self.committed)

    def _broken(self, kept: bytes, error: DecodeError | LimitExceeded) -> Verdict:
        """Events can no longer be told apart: what came before leaves, and the client is told that nothing follows."""
        code = "upstream_too_large" if isinstance(error, LimitExceeded) else "upstream_malformed"
        refused = Refused(502, code, f"The provider's stream cannot be read: {error}.", "upstream_error")
        if not kept:
            return self.stop(refused)
        event = self._format.error_event(refused.code, refused.message, refused.kind)
        return Verdict(kept + event, commit=not self.committed, end=True, refused=refused)

    def _see(self, raw: bytes) -> Any:
        try:
            value = parse(raw)
        except DecodeError:
            return None
        self._meter.see(value)
        return value


class StreamAnswer:
    """A guarded event stream."""

    changes = True
    speaks = True

    def __init__(self, inspection: Inspection, decoder: compression.Decoder | None) -> None:
        limits = inspection.runtime.config.processor
        self._stream = GuardedStream(
            inspection.format,
            inspection.chain,
            inspection.tally,
            inspection.meter,
            limits.max_event,
            limits.max_held,
        )
        self.said: list[Words] = []
        self._stream.said = self.said if inspection.listens else None
        self._stream.hides_usage = inspection.hides_usage
        self._conversion = inspection.conversion
        self._decoder = decoder
        self._opening = b""  # what came before anything a client could notice
        self.committed = False

    def feed(self, chunk: bytes) -> Verdict:
        """See ``Answer.feed``."""
        try:
            plain = self._decoder.feed(chunk) if self._decoder else chunk
        except (DecodeError, LimitExceeded) as error:
            return self._verdict(self._stream.fail(error))
        out = self._converted(self._conversion.feed(plain)) if self._conversion else self._stream.feed(plain)
        if self._decoder and self._decoder.excess:
            out += self._stream.fail(DecodeError("bytes follow the end of the compressed body"))
        return self._verdict(out)

    def close(self) -> Verdict:
        """See ``Answer.close``."""
        try:
            if self._decoder:
                self._decoder.close()
        except (DecodeError, LimitExceeded) as error:
            return self._verdict(self._stream.fail(error))
        out = self._converted(self._conversion.close()) if self._conversion else b""
        verdict = self._verdict(out + self._stream.close())
        if verdict.end:
            return verdict
        return Verdict(self._opening + verdict.body, commit=not self.committed, end=True)

    def _converted(self, pieces: Iterator[bytes]) -> bytes:
        """What leaves of these pieces; where they cannot be made to the end, the stream ends after the good ones."""
        found: list[bytes] = []
        try:
            found.extend(pieces)
        except (DecodeError, LimitExceeded) as error:
            return self._stream.feed(b"".join(found)) + self._stream.fail(error)
        return self._stream.feed(b"".join(found))

    def stop(self, refused: Refused, policy: Policy | None = None) -> Verdict:
        """See ``Answer.stop``."""
        return self._verdict(self._stream.stop(refused, policy))

    @property
    def held(self) -> int:
        """See ``Answer.held``."""
        return self._stream.held + len(self._opening) + (self._conversion.held if self._conversion else 0)

    def _verdict(self, out: bytes) -> Verdict:
        stream = self._stream
        stream.telling = stream.telling or len(self._opening) + len(out) > _OPENING_MAX
        if not stream.telling:
            self._opening += out
            return Verdict(end=bool(stream.refused), refused=stream.refused, policy=stream.blocked)
        body, self._opening = self._opening + out, b""
        commit = not self.committed
        return Verdict(body, commit, end=bool(stream.refused), refused=stream.refused, policy=stream.blocked)


class WholeAnswer:
    """A JSON document: collected, inspected, sent on in one piece."""

    changes = True
    speaks = True

    def __init__(
        self, inspection: Inspection, decoder: compression.Decoder | None, status: int, media: str = ""
    ) -> None:
        transcript = status == 200 and media in subtitles.MEDIA and inspection.format.name == openai_audio.NAME
        self._text = inspection.text or transcript
        self._inspection = inspection
        self._conversion = inspection.conversion
        self._runtime = inspection.runtime
        self.said: list[Words] = []
        self._decoder = decoder
        self._status = status
        self._body = bytearray()
        self.committed = False

    def feed(self, chunk: bytes) -> Verdict:
        """See ``Answer.feed``."""
        try:
            plain = self._decoder.feed(chunk) if self._decoder else chunk
            self._body += b"".join(self._conversion.feed(plain)) if self._conversion else plain
        except DecodeError:
            return self._unreadable("upstream_malformed")
        except LimitExceeded:
            return self._unreadable("upstream_too_large")
        if len(self._body) > self._runtime.config.gateway.max_body:
            return self._unreadable("upstream_too_large")
        return Verdict()

    def close(self) -> Verdict:
        """See ``Answer.close``."""
        try:
            raw = self._collected()
            if not raw and (self._inspection.passes or self._inspection.format.name == GENERIC):  # which is no JSON
                return Verdict(commit=True, end=True)
            value: Any = parse(raw)
        except DecodeError:
            return self._unreadable("upstream_malformed")
        except LimitExceeded:
            return self._unreadable("upstream_too_large")
        self._inspection.meter.see(value)
        try:
            decision, sent = whole.inspect(
                self._inspection.format, self._inspection.chain, Phase.RESPONSE, raw, value, self._inspection.tally
            )
        except LimitExceeded:
            return self._unreadable("upstream_too_large")
        blocked = decision.policy if decision.outcome is Outcome.BLOCK else None
        if blocked and not decision.cuts:
            return Verdict(end=True, refused=Refused(400, blocked.name, ""), policy=blocked)
        if self._inspection.hooks and self._status == 200:
            ruling = self._inspection.hooks.whole(sent)
            if ruling.policy or ruling.refused:
                return Verdict(end=True, refused=ruling.refused or Refused(400, "", ""), policy=ruling.policy)
            sent = ruling.sent
        if self._inspection.listens:
            spans = self._inspection.format.response_spans(value if sent is raw else parse(sent))
            self.said += [(span.path, span.scope, span.text) for span in spans]
        if self._text:
            sent = subtitles.closed(parse(sent))
        return Verdict(sent, commit=True, end=True, policy=blocked)

    def _collected(self) -> bytes:
        """All of it, as JSON."""
        rest = self._decoder.close() if self._decoder else b""
        if self._conversion:
            rest = b"".join([*self._conversion.feed(rest), *self._conversion.close()])
        raw = bytes(self._body) + rest
        if self._inspection.listed and not raw.lstrip().startswith(b"["):
            raw = b"[" + raw + b"]"
        return dump(subtitles.opened(raw)) if self._text else raw

    def stop(self, refused: Refused, policy: Policy | None = None) -> Verdict:
        """See ``Answer.stop``."""
        return Verdict(end=True, refused=refused, policy=policy)

    @property
    def held(self) -> int:
        """See ``Answer.held``."""
        return len(self._body) + (self._conversion.held if self._conversion else 0)

    def _unreadable(self, code: str) -> Verdict:
        status = self._status if self._status >= 400 else 502
        message = f"The provider answered with status {self._status} and a body that cannot be inspected."
        return Verdict(end=True, refused=Refused(status, code, message, "upstream_error"))
