"""A guarded stream: server-sent events in, server-sent events out, every text seen by the chain before it leaves.

Theory of operation. Each event's texts join the tracks they continue (a choice's content, one call's arguments). An event
waits until every one of its texts is decided; then it leaves as the very bytes it came in, or, where a rule touched one
of its texts, with that text replaced in place. Events of one lane keep their order. A lane is what a client puts
together by itself: a choice's answer, a choice's reasoning; so a held last word of reasoning does not stop the answer.
An event that belongs to no lane, or to several, is a barrier: it leaves after all that came before it and before all that
comes after it. All tracks are closed by the stream's end, not sooner: a text that pauses may go on.

Events that came in one piece and go on with one text are decided together (a batch): scanning one longer text costs far
less than scanning many words. Anything else decides the batch first, so that nobody can tell the difference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Final

from extproc.errors import DecodeError, LimitExceeded, Refused
from extproc.exchange.gate import Words
from extproc.exchange.repeats import Repeats
from extproc.exchange.replies import blocked
from extproc.exchange.waiting import Epoch, Frame, Part
from extproc.exchange.whole import silenced
from extproc.formats.base import Delta, Format, Piece
from extproc.formats.signed import Signatures
from extproc.framing.base import Event
from extproc.framing.jsontext import REMOVED, Path, dump, edit, parse, replace
from extproc.policy.api import Outcome, Phase, Policy, Scope, Style, Tally
from extproc.policy.chain import Chain, Track
from extproc.policy.scanner import Op
from extproc.usage import Meter

_MAX_TRACKS: Final = 1024
_MAX_JOINED: Final = 256


class GuardedStream:
    """One streamed answer. ``feed`` chunks, then ``close``; both return bytes for the client and never raise.

    ``said``, where it is a list, takes the words of everything given out; ``hides_usage`` keeps events of nothing but usage
    from the client, who did not ask for them. After each call: ``telling`` says whether
    anything a client could notice has left; ``refused`` why the stream ended before its time, by the policy ``blocked`` or
    because it cannot be inspected. The bytes returned then end with an error event, but only after something telling:
    otherwise the caller can still answer with a proper status.
    """

    def __init__(
        self, format_: Format, chain: Chain, tally: Tally, meter: Meter, max_event: int, max_held: int
    ) -> None:
        self._format = format_
        self._chain = chain
        self._tally = tally
        self._meter = meter
        self._framing = format_.framing
        self._events = self._framing.reader(max_event)
        self._max_held = max_held
        self._held = 0
        self._tracks: dict[Hashable, tuple[Track, deque[Part]]] = {}
        self._joined: dict[Hashable, str] = {}
        self._epochs: deque[Epoch] = deque([Epoch()])
        self._out: list[bytes] = []
        self._batch: list[Part] = []
        self._repeats = Repeats(format_)
        self._signatures = Signatures(format_)
        self._ending = format_.ending()
        self._done = False
        self._blocked: Policy | None = None
        self.said: list[Words] | None = None
        self.hides_usage = False
        self.telling = False
        self.refused: Refused | None = None

    @property
    def held(self) -> int:
        """Bytes of events that wait."""
        return self._held + self._events.held

    @property
    def blocked(self) -> Policy | None:
        """The policy that ended the stream."""
        return self._blocked

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the provider's stream."""
        return self._run(self._events.feed(chunk), close=False)

    def close(self) -> bytes:
        """The provider's stream has ended."""
        return self._run(self._events.close(), close=True)

    def fail(self, error: DecodeError | LimitExceeded) -> bytes:
        """End a stream that cannot be inspected; what was held back is dropped."""
        if self.refused:
            return b""
        code = "upstream_too_large" if isinstance(error, LimitExceeded) else "upstream_malformed"
        self._refuse(Refused(502, code, f"The provider's stream cannot be inspected: {error}.", "upstream_error"))
        return self._taken()

    def stop(self, refused: Refused, policy: Policy | None = None) -> bytes:
        """End the stream for a reason of the caller's (a policy's, where there is one); what was held back is dropped."""
        if self.refused:
            return b""
        self._blocked = policy
        self._refuse(refused)
        return self._taken()

    def _run(self, events: Iterator[Event], *, close: bool) -> bytes:
        if self.refused:
            return b""
        try:
            try:
                self._take_all(events)
            finally:
                self._decide_batch()  # also before an error: what came before it counts first
            if close and not self._blocked:
                self._close_tracks()
        except (DecodeError, LimitExceeded) as error:
            if not self._blocked:
                return self.fail(error)
        if self._blocked:
            self._end_blocked(self._blocked)
        return self._taken()

    def _take_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._take(event)
            if self._held > self._max_held:
                self._decide_batch()
                if self._held > self._max_held and not self._blocked:
                    raise LimitExceeded(f"more than {self._max_held} bytes would have to be held back")
            if self._blocked:
                return

    def _taken(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _refuse(self, refused: Refused) -> None:
        self.refused = refused
        self._epochs.clear()
        self._tracks.clear()
        self._held = 0
        if self.telling:
            if self._out and not self._framing.ended(self._out[-1]):
                self._out.append(self._framing.mend())
            self._out.append(self._last(refused))

    def _last(self, refused: Refused) -> bytes:
        policy = self._blocked
        if policy is None or policy.style is Style.ERROR:
            return self._format.error_event(refused.code, refused.message, refused.kind)
        return self._ending.end(refused.message if policy.style is Style.REFUSAL else "")

    # events in

    def _take(self, event: Event) -> None:
        if self._done and (event.data is not None or event.other):
            return  # nobody reads on after the end of the answer
        if event.other or not event.data or event.data.strip() == self._framing.done:
            self._decide_batch()
            if self._blocked:
                return
        if event.other and not self._harmless(event):
            return
        if not event.data:  # none at all, or an empty one, which the standard does not dispatch
            if self._framing.ended(event.raw):
                self._out.append(event.raw)
                self.telling = self.telling or bool(event.other)
            else:  # the stream ends in the middle of it: nothing may follow on its line
                self._wait(Frame(event, None, Delta([], None)), None)
            return
        if event.data.strip() == self._framing.done:
            self._done = True
            self._close_tracks()
            if not self._blocked:
                self._wait(Frame(event, None, Delta([], None)), None)
                self._release()
            return
        delta, value = self._repeats.find(event.data), None
        if delta is None:
            value = parse(event.data)
            self._meter.see(value)
            if self.hides_usage and only_usage(value):
                rest = without_usage(event.data, value)
                if rest:
                    self._take_all(self._read(event.with_data(rest)))
                return
            delta = self._format.delta(value)
            self._repeats.learn(event.data, value, delta)
        self._admit(event, value, delta)

    def _read(self, raw: bytes) -> list[Event]:
        """Events of our own making."""
        reader = self._framing.reader(len(raw) + 1)
        return [*reader.feed(raw), *reader.close()]

    def _harmless(self, event: Event) -> bool:
        """Comments, event names and ids are texts too. Those a rule touches are dropped with their event."""
        try:
            lines = event.other.decode().split("\n")
        except UnicodeDecodeError:
            raise DecodeError("an event is not UTF-8") from None
        text = "\n".join(_said(line) for line in lines)
        return self._whole("other", Scope.ASSISTANT, text) == text

    def _admit(self, event: Event, value: Any, delta: Delta) -> None:
        if not self._tracks.keys().isdisjoint(delta.closes):
            self._decide_batch()
            self._close(delta.closes)
            if self._blocked:
                return
        frame = Frame(event, value, delta)
        if self._joins_batch(frame, delta):
            self._wait(frame, delta.lane)
            self._batch.append(frame.parts[0])
            return
        self._decide_batch()
        if self._blocked:
            return
        self._wait(frame, delta.lane)
        for part in frame.parts:
            self._decide(part)
            if self._blocked:
                return
        self._release()

    def _joins_batch(self, frame: Frame, delta: Delta) -> bool:
        """Whether an event goes on with the one text of the batch, or can begin one, and no other lane is waiting."""
        if len(frame.parts) != 1 or delta.lane is None:
            return False
        piece = frame.parts[0].piece
        if piece.track is None or piece.joined:
            return False
        if self._batch:
            return self._batch[0].piece.track == piece.track
        lanes = self._epochs[-1].lanes
        if len(self._epochs) > 1 or len(lanes) > 1 or (lanes and delta.lane not in lanes):
            return False
        return piece.track in self._tracks or self._open(piece) is not None

    def _decide_batch(self) -> None:
        parts = self._batch
        if parts and not self._blocked:
            self._batch = []
            track, queue = self._tracks[parts[0].piece.track]
            queue.extend(parts)
            self._apply(track.feed("".join([part.piece.text for part in parts])), queue)
            self._blocked = track.blocked
            if not self._blocked:
                self._release()

    def _decide(self, part: Part) -> None:
        piece = part.piece
        if piece.track is None or piece.joined:
            self._decide_whole(part)
            return
        opened = self._tracks.get(piece.track) or self._open(piece)
        if opened is None:
            part.take(part.left, None)
            return
        track, queue = opened
        queue.append(part)
        self._apply(track.feed(piece.text), queue)
        self._blocked = self._blocked or track.blocked

    def _open(self, piece: Piece) -> tuple[Track, deque[Part]] | None:
        track = self._chain.open(Phase.RESPONSE, piece.scope, self._tally, json=piece.json)
        if track is None:
            return None
        if len(self._tracks) >= _MAX_TRACKS:
            raise LimitExceeded(f"more than {_MAX_TRACKS} texts are open at once")
        opened = self._tracks[piece.track] = track, deque()
        return opened

    def _decide_whole(self, part: Part) -> None:
        piece = part.piece
        text = self._whole(piece.track, piece.scope, piece.text, json=piece.json, fixed=piece.fixed)
        if text is not None:
            part.take(part.left, None if text == piece.text else text)
        elif not piece.fixed:
            self._close_tracks()  # it may repeat a text that is held: what comes before the match there leaves

    def _whole(self, key: Hashable, scope: Scope, text: str, *, json: bool = False, fixed: bool = False) -> str | None:
        """Decide about a text by itself, then joined to those said before it; None where the stream is blocked.

        A text without a key is complete: nobody joins it to another.
        """
        decision = self._chain.inspect(Phase.RESPONSE, [(scope, text, json)], self._tally)
        if decision.outcome is Outcome.BLOCK or (fixed and decision.texts):
            self._blocked = decision.policy
            return None
        text = decision.texts.get(0, text)
        if key is None:
            return text
        before = self._joined.get(key, "")
        if before:
            joined = self._chain.inspect(Phase.RESPONSE, [(scope, before + text, json)], Tally())
            if joined.outcome in (Outcome.BLOCK, Outcome.REDACT):
                self._blocked = joined.policy  # part of the match has left already: nothing more may
                return None
        self._joined[key] = (before + text)[-_MAX_JOINED:]
        if len(self._joined) > _MAX_TRACKS:
            raise LimitExceeded(f"more than {_MAX_TRACKS} texts are open at once")
        return text

    @staticmethod
    def _apply(ops: list[Op], queue: deque[Part]) -> None:
        for length, text in ops:
            while length:
                part = queue[0]
                count = part.left
                if count > length:
                    count = length
                else:
                    queue.popleft()
                part.take(count, text)
                if text:
                    text = ""  # the replacement stands where the match begins
                length -= count

    def _close_tracks(self) -> None:
        self._close([*self._tracks])

    def _close(self, names: Iterable[Hashable]) -> None:
        """These tracks have ended: whatever is held of them is decided."""
        closed = [(name, self._tracks[name]) for name in names if name in self._tracks]
        for _, (track, queue) in closed:
            self._apply(track.close(), queue)
            self._blocked = self._blocked or track.blocked
        if self._blocked:
            return
        for name, _ in closed:
            del self._tracks[name]
        self._release()

    # events out

    def _wait(self, frame: Frame, lane: Hashable) -> None:
        self._held += len(frame.event.raw)
        epoch = self._epochs[-1]
        if lane is None:
            epoch.barrier = frame
            self._epochs.append(Epoch())
        else:
            epoch.lanes.setdefault(lane, deque()).append(frame)
            epoch.count += 1

    def _release(self) -> None:
        while True:
            epoch = self._epochs[0]
            lanes = epoch.lanes
            progress = True
            while progress:
                progress = False
                for name, lane in [*lanes.items()]:
                    while lane and not lane[0].waiting and lane[0].after not in lanes:
                        self._emit(lane.popleft())
                        epoch.count -= 1
                    if not lane:
                        del lanes[name]
                        progress = bool(lanes)  # one of them may have waited for this
            barrier = epoch.barrier
            if epoch.count or barrier is None or barrier.waiting:
                return
            self._emit(barrier)
            self._epochs.popleft()

    def _emit(self, frame: Frame) -> None:
        self._held -= len(frame.event.raw)
        self._out.append(self._bytes(frame))
        self._say(frame)
        frame.parts.clear()  # they know their event: apart, both are freed at once and not by a later collection
        self.telling = self.telling or frame.telling

    def _say(self, frame: Frame) -> None:
        """Tell who listens of an event that leaves, and of its words."""
        if self._ending.retells or self.said is not None:
            for part in frame.parts:
                if part.out:
                    self._tell(part.piece, "".join(part.out))
        if frame.value is not None:
            self._ending.see(frame.value)

    def _tell(self, piece: Piece, text: str) -> None:
        if self._ending.retells:
            self._ending.more(piece.track, text)
        if self.said is not None:
            self.said.append((piece.track, piece.scope, text))

    def _bytes(self, frame: Frame) -> bytes:
        if frame.event.data is None:
            return frame.event.raw
        values: dict[Path, bytes] = {
            part.piece.path: dump("".join(part.out)) for part in frame.parts if part.dirty or part.left
        }
        values = silenced(values, self._format.echoes(frame.value, values.keys()))
        if values or (self._signatures.broken and frame.value is not None):  # one that was not parsed signs nothing
            value = parse(frame.event.data) if frame.value is None else frame.value
            values |= self._signatures.blanked(value, values)
        if not values:
            return frame.event.raw
        return frame.event.with_data(replace(frame.event.data, values))

    def _end_blocked(self, policy: Policy) -> None:
        """Everything before the match leaves, also the decided beginning of the event it begins in; then the error."""
        self._release()
        for track, queue in self._tracks.values():
            if track.blocked and queue and queue[0].at and self._next(queue[0].frame) and _named(queue[0].frame):
                self._out.append(self._bytes(queue[0].frame))
                self._say(queue[0].frame)
                self.telling = True
        self._refuse(Refused(policy.status, policy.name, blocked(policy, "stream"), "policy_violation"))

    def _next(self, frame: Frame) -> bool:
        """Whether it is this event's turn to leave."""
        lanes = self._epochs[0].lanes.values()
        return not frame.final and any(lane[0] is frame for lane in lanes)


def _named(frame: Frame) -> bool:
    """Whether all names of members in an event are decided."""
    return not any(part.left for part in frame.parts if part.piece.fixed)


def only_usage(value: Any) -> bool:
    """Whether an event says nothing but how many tokens were used (OpenAI's last, with no choices)."""
    return isinstance(value, dict) and value.get("choices") == [] and isinstance(value.get("usage"), dict)


_OF_EVERY_EVENT: Final = frozenset({
    "id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "obfuscation", "provider",
})  # fmt: skip
"""Members that the events before have had, too."""


def without_usage(data: bytes, value: Any) -> bytes:
    """What is left of such an event (``data`` is its payload) without the tokens; empty where it says nothing else."""
    more = any(child for name, child in value.items() if name not in _OF_EVERY_EVENT)
    return edit(data, {("usage",): REMOVED}) if more else b""


_FIELDS: Final = frozenset({"", "event", "id", "retry"})


def _said(line: str) -> str:
    """The text of a line that is no data; a name nobody knows is part of it."""
    name, _, value = line.partition(":")
    return value if name in _FIELDS else line
