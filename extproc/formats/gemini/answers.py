"""Answers, whole and streamed, to and fro: both are the same objects, so both are read and written by the same code.

Source: Gemini API reference, "GenerateContentResponse". A text goes on in the next event's first text; thoughts likewise.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from extproc.chat.answer import (
    Answer,
    Choice,
    Failure,
    FailureKind,
    Finish,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    StreamEvent,
    Usage,
    Used,
)
from extproc.chat.codec import Context
from extproc.chat.fold import fold
from extproc.chat.losses import CITED, GROUNDED, LOGPROBS, Losses
from extproc.chat.parts import Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.errors import DecodeError, LimitExceeded, Unrepresentable
from extproc.formats.gemini import errors, parts
from extproc.formats.gemini.names import either, elements, fields
from extproc.formats.gemini.requests import joined
from extproc.formats.gemini.says import head
from extproc.formats.gemini.tokens import ended, finish, metadata, reason, usage
from extproc.framing.jsontext import Path, dump, parse
from extproc.framing.sse import DONE, framed

_KNOWN: Final = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId")
_LOST: Final = {
    "citationMetadata": CITED,
    "groundingMetadata": GROUNDED,
    "urlContextMetadata": GROUNDED,
    "logprobsResult": LOGPROBS,
}
"""Members of a candidate that the canonical form has no place for."""
_MAX_CANDIDATES: Final = 1024
_MAX_KEPT: Final = 32 << 20
"""Characters of open calls and thoughts of one stream."""


# reading


class _Candidate:
    """One candidate as it comes: how many parts it has had, and which goes on."""

    def __init__(self, number: int, answer: str) -> None:
        self.number = number
        self.finish: Finish | None = None
        self.calls = False
        self._answer = answer
        self._parts = 0
        self._open: type[Part] | None = None

    def read(self, value: dict[str, Any], where: Path) -> list[StreamEvent]:
        """More of it."""
        found: list[StreamEvent] = []
        for index, each in enumerate(elements(either(value.get("content", {}), "parts"), "parts")):
            for part in parts.read(each, (*where, "content", "parts", index)):
                found += self._part(part)
        if (why := ended(value)) is not None:
            self.finish = finish(why)
        return found

    def _part(self, part: Part) -> list[StreamEvent]:
        place = self.number, self._parts
        thought = isinstance(part, Reasoning) and part.summary
        if isinstance(part, Text) or thought:
            found = [] if self._open is type(part) else [*self.end(), self._begun(part)]
            place = self.number, self._parts - 1
            signature = part.signature if isinstance(part, Reasoning) else ""
            found.append(PartDelta(*place, part.text, signature))  # type: ignore[union-attr]
            return found + self.end() if signature else found
        found = self.end()
        if isinstance(part, ToolCall):
            self.calls = True
            call_id = part.id or parts.made_id(self._answer, *place, part.name)
            found.append(PartStart(*place, ToolCall(call_id, part.name, maker=part.maker, where=part.where)))
            found.append(PartDelta(*place, part.arguments, part.signature))
        elif isinstance(part, Reasoning):
            found.append(PartStart(*place, Reasoning("", maker=part.maker, where=part.where)))
            found.append(PartDelta(*place, signature=part.signature))
        elif isinstance(part, ToolResult):
            raise DecodeError("a function response that the model made")
        else:
            found.append(PartStart(*place, part))
        self._parts += 1
        return [*found, PartEnd(*place)]

    def _begun(self, part: Part) -> PartStart:
        self._open = type(part)
        self._parts += 1
        shell: Part = Text("", where=part.where)
        if isinstance(part, Reasoning):
            shell = Reasoning("", maker=part.maker, summary=True, where=part.where)
        return PartStart(self.number, self._parts - 1, shell)

    def end(self) -> list[StreamEvent]:
        """Nothing goes on."""
        if self._open is None:
            return []
        self._open = None
        return [PartEnd(self.number, self._parts - 1)]

    def finished(self) -> Finished:
        """Its end."""
        why = self.finish or Finish.OTHER
        return Finished(self.number, Finish.TOOLS if why is Finish.STOP and self.calls else why)


class Decoder:
    """See ``codec.StreamDecoder``. Some servers end a candidate in every event: what counts is the last."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._started = False
        self._failed = False
        self._id = ""
        self._used: Usage | None = None
        self._candidates: dict[int, _Candidate] = {}

    def decode(self, name: str, data: bytes) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        return [] if data.strip() == DONE else self.read(parse(data))

    def read(self, value: Any) -> list[StreamEvent]:
        """The same for an event that has been parsed; a list is several."""
        if isinstance(value, list):
            return [event for each in value for event in self.read(each)]
        if not isinstance(value, dict):
            raise DecodeError("an event is not an object")
        if self._failed:
            return []
        if value.get("error") is not None:
            self._failed = True
            return [errors.read(0, value)]
        given = fields(value, "an event")
        found: list[StreamEvent] = [] if self._started else [self._start(given)]
        for index, each in enumerate(elements(given.get("candidates"), "candidates")):
            candidate = fields(each, "a candidate")
            found += self._candidate(candidate).read(candidate, ("candidates", index))
            if not candidate.keys().isdisjoint(_LOST):
                self._losses.add_members(candidate, _LOST, ("candidates", candidate.get("index", 0)))
        if either(given.get("promptFeedback"), "blockReason") is not None:
            self._candidate({}).finish = Finish.FILTER
        if (used := usage(value)) is not None and used != self._used:
            self._used = used
            found.append(Used(used))
        return found

    def _start(self, given: dict[str, Any]) -> Start:
        self._started = True
        self._id = _words(given.get("responseId"))
        return Start(self._id, _words(given.get("modelVersion")), _time(given.get("createTime")))

    def _candidate(self, given: dict[str, Any]) -> _Candidate:
        number = given.get("index", 0)
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _MAX_CANDIDATES:
            raise DecodeError("an index is not a number")
        return self._candidates.setdefault(number, _Candidate(number, self._id))

    def close(self) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        if self._failed:
            return []
        candidates = [self._candidates[number] for number in sorted(self._candidates)]
        if not any(each.finish for each in candidates):
            self._failed = True
            start: list[StreamEvent] = [] if self._started else [self._start({})]
            return [*start, Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated")]
        return [event for each in candidates for event in [*each.end(), each.finished()]]

    def whole(self) -> list[StreamEvent]:
        """The end of a whole answer: what has not said that it ended is left as it is."""
        candidates = [self._candidates[number] for number in sorted(self._candidates)]
        return [event for each in candidates if each.finish for event in [*each.end(), each.finished()]]


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _time(value: Any) -> int:
    """Unix time in seconds; 0 for what is no time."""
    try:
        return max(0, int(datetime.fromisoformat(value).timestamp())) if isinstance(value, str) else 0
    except (ValueError, OverflowError, OSError):
        return 0


def read(body: Any, losses: Losses) -> Answer:
    """See ``Codec.decode_answer``; a stream that came as one list is one answer."""
    events = body if isinstance(body, list) else [body]
    if not any(either(each, name) is not None for each in events for name in _KNOWN):
        raise DecodeError("an answer that says nothing")
    decoder = Decoder(losses)
    found = [event for each in events for event in decoder.read(each)]
    answer = fold([*found, *decoder.whole()])
    if isinstance(answer, Failure):
        raise DecodeError("an answer is an error")
    return answer


# writing


def write(answer: Answer, context: Context, losses: Losses) -> dict[str, Any]:
    """See ``Codec.encode_answer``."""
    body: dict[str, Any] = {
        "candidates": [_candidate(choice, losses) for choice in answer.choices],
        **head(answer.model or context.model, answer.id or context.request_id, answer.created or context.created),
    }
    if answer.usage:
        body["usageMetadata"] = _counted(answer.usage, losses)
    return body


def _candidate(choice: Choice, losses: Losses) -> dict[str, Any]:
    found: dict[str, Any] = {"content": {"parts": joined(_sayable(choice.parts, losses), losses), "role": "model"}}
    if choice.finish:
        found["finishReason"] = _ended(Finished(choice.index, choice.finish, choice.stopped_by), losses)
    return {**found, "index": choice.index}


def _sayable(given: list[Part], losses: Losses) -> list[Part]:
    """Parts without what an answer cannot say, which is lost: it is too late to refuse."""
    found: list[Part] = []
    for part in given:
        try:
            parts.write(part, Losses())
        except Unrepresentable as error:
            losses.add(part.where, error.what)
            if isinstance(part, ToolCall):
                said = dump({"input": part.arguments}).decode()
                found.append(ToolCall(part.id, part.name, said, signature=part.signature, maker=part.maker))
        else:
            found.append(part)
    return found


def _ended(event: Finished, losses: Losses) -> str:
    if event.stopped_by or event.finish in (Finish.STOP_SEQUENCE, Finish.REFUSAL, Finish.PAUSE):
        losses.add(("candidates", event.choice, "finishReason"), "finish reason")
    return reason(event.finish)


def _counted(used: Usage, losses: Losses) -> dict[str, Any]:
    if used.cache_write:
        losses.add(("usageMetadata",), "tokens written to a cache")
    return metadata(used)


def _saying(choice: int, said: list[dict[str, Any]]) -> dict[str, Any]:
    return {"content": {"parts": said, "role": "model"}, "index": choice}


class Encoder:
    """See ``codec.StreamEncoder``. Calls leave whole, and a part's signature with an empty text at its end."""

    def __init__(self, context: Context, losses: Losses) -> None:
        self._context = context
        self._losses = losses
        self._head: dict[str, Any] | None = None
        self._open: dict[tuple[int, int], tuple[Part, list[PartDelta]]] = {}
        self._used: Usage | None = None
        self._ends: list[dict[str, Any]] = []
        self._failed = False
        self._kept = 0

    def encode(self, event: StreamEvent) -> bytes:
        """See ``StreamEncoder``.

        Raises:
            LimitExceeded: more would have to be kept than is allowed.
        """
        if self._failed:
            return b""
        if isinstance(event, Failure):
            self._failed = True
            return framed(dump(errors.write(event)))
        if isinstance(event, Start):
            self._begin(event)
        elif isinstance(event, PartStart):
            self._open[event.choice, event.number] = event.part, []
            return self._text(event.choice, event.part, getattr(event.part, "text", ""))
        elif isinstance(event, PartDelta):
            return self._more(event)
        elif isinstance(event, PartEnd):
            return self._whole(event)
        elif isinstance(event, Finished):
            self._ends.append({**_saying(event.choice, []), "finishReason": _ended(event, self._losses)})
        else:
            self._used = event.usage
        return b""

    def close(self) -> bytes:
        """The last event says why it ended and what was used: clients look for both in one."""
        if self._failed or not (self._ends or self._used):
            return b""
        ends = {"candidates": self._ends} if self._ends else {}
        used = {"usageMetadata": _counted(self._used, self._losses)} if self._used else {}
        return framed(dump({**ends, **used, **self._named()}))

    def _begin(self, start: Start) -> None:
        context = self._context
        created = start.created or context.created
        self._head = head(start.model or context.model, start.id or context.request_id, created)

    def _named(self) -> dict[str, Any]:
        if self._head is None:
            self._begin(Start())
        return self._head or {}

    def _event(self, choice: int, said: list[dict[str, Any]]) -> bytes:
        return framed(dump({"candidates": [_saying(choice, said)], **self._named()}))

    def _text(self, choice: int, part: Part, words: str) -> bytes:
        """Words of a part that may go on."""
        if not words or not isinstance(part, Text | Refusal | Reasoning):
            return b""
        said: dict[str, Any] = {"text": words}
        return self._event(choice, [{**said, "thought": True} if isinstance(part, Reasoning) else said])

    def _more(self, delta: PartDelta) -> bytes:
        part, deltas = self._open.get((delta.choice, delta.number), (None, []))
        if part is None:
            return b""
        if not isinstance(part, Text | Refusal):  # of those all has been said
            self._kept += len(delta.text) + len(delta.signature) + len(delta.sealed)
            if self._kept > _MAX_KEPT:
                raise LimitExceeded(f"its calls and thoughts are longer than {_MAX_KEPT} characters")
            deltas.append(delta)
        return self._text(delta.choice, part, delta.text)

    def _whole(self, event: PartEnd) -> bytes:
        """What has to be said of a part now that it is whole."""
        part, deltas = self._open.pop((event.choice, event.number), (None, []))
        if part is None:
            return b""
        if isinstance(part, Reasoning):
            rest = Reasoning("", part.signature, part.sealed, part.maker, where=part.where)
            rest.summary = part.summary or bool(part.text) or any(delta.text for delta in deltas)
            rest.signature += "".join([delta.signature for delta in deltas])
            rest.sealed += "".join([delta.sealed for delta in deltas])
            part = rest
        elif isinstance(part, Text | Refusal):
            return b""
        elif isinstance(part, ToolCall):
            written = part.arguments + "".join([delta.text for delta in deltas])
            signature = part.signature + "".join([delta.signature for delta in deltas])
            maker = part.maker
            part = ToolCall(part.id, part.name, written, part.custom, signature, maker, where=part.where)
        said = joined(_sayable([part], self._losses), self._losses)
        return self._event(event.choice, said) if said else b""
