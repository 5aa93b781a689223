"""The answer of a stream that was asked for as one JSON array (Gemini without ``alt=sse``), as it comes from the provider.

Its elements are a stream's events, and words go over their ends: they are inspected as that stream, once they are all
there.

Source: Gemini API reference, "models.streamGenerateContent".
"""

from __future__ import annotations

from extproc.errors import DecodeError, LimitExceeded, Refused
from extproc.exchange.answer import Inspection, StreamAnswer, Verdict
from extproc.exchange.gate import Words
from extproc.framing import compression
from extproc.framing.jsontext import dump, parse
from extproc.framing.sse import framed
from extproc.policy.api import Policy


class ElementsAnswer:
    """See ``answer.Answer``.

    Args:
        inspection: its format's streams are server-sent events.
        decoder: of what it is compressed with.
    """

    changes = True
    speaks = True

    def __init__(self, inspection: Inspection, decoder: compression.Decoder | None) -> None:
        config = inspection.runtime.config
        self._most, self._max_event = config.gateway.max_body, config.processor.max_event
        self._reader = inspection.format.framing.reader
        self._stream = StreamAnswer(inspection, None)
        self._hooks = inspection.hooks
        self._decoder = decoder
        self._body = bytearray()
        self.said: list[Words] = self._stream.said
        self.committed = False

    @property
    def held(self) -> int:
        """See ``Answer.held``."""
        return len(self._body)

    def feed(self, chunk: bytes) -> Verdict:
        """See ``Answer.feed``."""
        try:
            self._body += self._decoder.feed(chunk) if self._decoder else chunk
        except (DecodeError, LimitExceeded):
            return self._unreadable()
        return self._unreadable() if len(self._body) > self._most else Verdict()

    def close(self) -> Verdict:
        """See ``Answer.close``."""
        try:
            raw = bytes(self._body) + (self._decoder.close() if self._decoder else b"")
            if not raw:
                return Verdict(commit=True, end=True)
            value = parse(raw)
            if not isinstance(value, list):
                return self._unreadable()
            came = b"".join([framed(dump(each)) for each in value])
            verdict = self._stream.feed(came)
            if not verdict.end:
                verdict = verdict.then(self._stream.close())
            if verdict.refused or (verdict := self._asked(verdict)).refused:
                return Verdict(end=True, refused=verdict.refused, policy=verdict.policy)
            return Verdict(raw if verdict.body == came else self._array(verdict.body), commit=True, end=True)
        except (DecodeError, LimitExceeded):
            return self._unreadable()

    def stop(self, refused: Refused, policy: Policy | None = None) -> Verdict:
        """See ``Answer.stop``."""
        return Verdict(end=True, refused=refused, policy=policy)

    def _asked(self, verdict: Verdict) -> Verdict:
        """The same, if the operator's own code has nothing against it: none of it has left."""
        if self._hooks is None:
            return verdict
        self._hooks.hear(verdict.body)
        ruling = self._hooks.ended(held=True)
        if ruling.policy or ruling.refused:
            return Verdict(end=True, refused=ruling.refused or Refused(400, "", ""), policy=ruling.policy)
        return verdict

    def _array(self, stream: bytes) -> bytes:
        reader = self._reader(max(self._max_event, len(stream)))
        events = [*reader.feed(stream), *reader.close()]
        return b"[" + b",\n".join([each.data for each in events if each.data]) + b"]"

    def _unreadable(self) -> Verdict:
        message = "The provider answered with a body that cannot be inspected."
        return Verdict(end=True, refused=Refused(502, "upstream_malformed", message, "upstream_error"))
