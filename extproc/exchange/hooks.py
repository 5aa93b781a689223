"""The operator's own code that sees answers as a whole (``response`` of kind ``python``), in one exchange.

Owns: the order (as configured; each sees what the one before it left), what each verdict does to a whole answer, and how
little can still be done to a stream, whose words have left by then: it is stopped where the end of it waits for services,
else it is only recorded. What is seen is what the client would get: text rules have done their work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from extproc.chat.answer import Answer as Chat
from extproc.chat.answer import Failure
from extproc.chat.fold import fold
from extproc.config.model import Config
from extproc.errors import DecodeError, LimitExceeded, Refused
from extproc.exchange.judging import FAILED, undecided
from extproc.exchange.marking import marked, readable
from extproc.formats.base import Format, Span
from extproc.formats.signed import Signatures
from extproc.framing.base import Event
from extproc.framing.jsontext import Path, dump, parse
from extproc.framing.jsontext import replace as put
from extproc.plugin import Answer, Audit, Block, Caller, Redact, Reply, Text
from extproc.policy.api import Action, OnError, Outcome, Phase, Policy, Scope, Tally
from extproc.policy.python import AnswerHook


@dataclass(slots=True, repr=False)
class Ruling:
    """What became of an answer: it goes on as ``sent``, or ``policy`` blocks it, or ``refused``: a policy failed."""

    sent: bytes
    policy: Policy | None = None
    refused: Refused | None = None


class Hooks:
    """Those of one answer.

    Args:
        policies: that have such code, in order.
        format_: the client's.
        caller: whose request it was.
        say: a whole answer in the client's format that says a text in the model's place.
        config: says how many bytes of a stream are kept for them, and how many may be one event.
        listed: whole answers are arrays with the answer in them.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        format_: Format,
        caller: Caller,
        tally: Tally,
        say: Callable[[str], bytes],
        config: Config,
        *,
        listed: bool = False,
    ) -> None:
        self._policies, self._format, self._caller, self._tally = policies, format_, caller, tally
        self._limit, self._max_event = config.gateway.max_body, config.processor.max_event
        self._say, self._listed = say, listed
        self._heard = bytearray()
        self._excess = False

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self._heard)

    def whole(self, sent: bytes) -> Ruling:
        """Ask about a whole answer."""
        ruling = Ruling(sent)
        for policy in self._policies:
            try:
                self._rule(policy, ruling)
            except Exception:  # whatever a stranger's code raises, or makes us raise
                if self._failed(policy):
                    ruling.refused = undecided("answer")
            if ruling.policy or ruling.refused:
                break
        return ruling

    def _rule(self, policy: Policy, ruling: Ruling) -> None:
        value: Any = parse(ruling.sent)
        spans = self._format.response_spans(value)
        texts = [Text(span.scope, span.text) for span in spans]
        said = self._ask(policy, lambda: texts, lambda: self._decoded(value), streamed=False)
        if said is None:
            return
        new = ruling.sent
        if isinstance(said, Reply):
            new, outcome = self._said(said.text), Outcome.REPLY
        elif isinstance(said, Redact):
            redacted = self._redacted(policy, ruling.sent, spans, said) if policy.action is Action.REDACT else None
            new, outcome = redacted or new, Outcome.REDACT if redacted else Outcome.BLOCK
        else:
            outcome = Outcome.AUDIT if isinstance(said, Audit) else Outcome.BLOCK
        self._count(policy, said, outcome)
        if policy.enforced and outcome is Outcome.BLOCK:
            ruling.policy = policy
        elif policy.enforced:
            ruling.sent = new

    def _decoded(self, value: Any) -> Chat | None:
        one = value[0] if self._listed else value
        return self._format.codec.decode_answer(one) if self._format.codec else None

    def _said(self, text: str) -> bytes:
        said = self._say(text)
        return b"[" + said + b"]" if self._listed else said

    def _redacted(self, policy: Policy, raw: bytes, spans: Sequence[Span], said: Redact) -> bytes | None:
        """The answer without the marked parts; None where they cannot be taken out."""
        marks: dict[int, list[tuple[int, int, str]]] = {}
        for number, start, end, label in said.marks:
            if number < 0 or not 0 <= start < end <= len(spans[number].text):
                raise ValueError("a mark outside of its text")
            marks.setdefault(number, []).append((start, end, self._code(policy).replacement(label)))
        values: dict[Path, bytes] = {}
        for number, places in marks.items():
            span, text = spans[number], marked(spans[number].text, places)
            if span.fixed or (span.json and not readable(text)):
                return None
            values[span.path] = dump(text)
        value = parse(raw)
        values |= dict.fromkeys(self._format.echoes(value, set(values)), b"null")
        values |= Signatures(self._format).blanked(value, values)
        return put(raw, values)

    def _ask(
        self,
        policy: Policy,
        texts: Callable[[], Sequence[Text]],
        chat: Callable[[], Chat | None],
        *,
        streamed: bool,
    ) -> Block | Audit | Redact | Reply | None:
        caller = replace(self._caller, phase=Phase.RESPONSE, override=policy.override)
        said = self._code(policy).judge(Answer(caller, texts, chat, streamed=streamed))
        return None if isinstance(said, Redact) and not said.marks else said

    @staticmethod
    def _code(policy: Policy) -> AnswerHook:
        if policy.response is None:
            raise TypeError("a policy without such code")
        return policy.response

    def _count(self, policy: Policy, said: Block | Audit | Redact | Reply, outcome: Outcome) -> None:
        if isinstance(said, Redact):
            labels = {mark.label for mark in said.marks}
        else:
            labels = {"replied" if isinstance(said, Reply) else said.label}
        for label in sorted(labels):
            self._tally.add(policy, label, outcome=outcome)

    def _failed(self, policy: Policy, *, late: bool = False) -> bool:
        """Note that one has failed; whether the answer must not go on."""
        stops = policy.enforced and policy.on_error is OnError.BLOCK and not late
        self._tally.add(policy, FAILED, outcome=Outcome.BLOCK if stops else Outcome.AUDIT)
        return stops

    # streams

    def hear(self, sent: bytes) -> None:
        """More of a stream, as the client gets it."""
        if len(self._heard) + len(sent) > self._limit:
            self._excess = True
            self._heard.clear()
        elif not self._excess:
            self._heard += sent

    def ended(self, *, held: bool) -> Ruling:
        """A stream has ended well; ``held``: some of it has not left, so that it can still be stopped."""
        ruling = Ruling(b"")
        for policy in self._policies:
            try:
                said = self._ask(policy, self._texts, self._folded, streamed=True)
            except Exception:  # as above
                if self._failed(policy, late=not held) and not ruling.policy:
                    ruling.refused = ruling.refused or undecided("answer")
                continue
            if said is not None:
                stops = held and not isinstance(said, Audit)
                self._count(policy, said, Outcome.BLOCK if stops else Outcome.AUDIT)
                if stops and policy.enforced and not ruling.refused:
                    ruling.policy = ruling.policy or policy
        self._heard.clear()
        return ruling

    def _events(self) -> list[Event]:
        if self._excess:
            raise LimitExceeded(f"it is larger than {self._limit} bytes")
        reader = self._format.framing.reader(self._max_event)
        done = self._format.framing.done
        events = [*reader.feed(bytes(self._heard)), *reader.close()]
        return [event for event in events if event.data and event.data.strip() != done]

    def _texts(self) -> Sequence[Text]:
        found: dict[Any, list[str]] = {}
        for event in self._events():
            for piece in self._format.delta(parse(event.data or b"")).pieces:
                key = (piece.path if piece.track is None else piece.track, piece.scope)
                found.setdefault(key, []).append(piece.text)
        return [Text(Scope(scope), "".join(parts)) for (_, scope), parts in found.items()]

    def _folded(self) -> Chat | None:
        if self._format.codec is None:
            return None
        decoder = self._format.codec.decoder()
        said = [each for event in self._events() for each in decoder.decode(event.name, event.data or b"")]
        answer = fold([*said, *decoder.close()])
        if isinstance(answer, Failure):
            raise DecodeError("it ended in an error")
        return answer
