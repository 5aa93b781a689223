"""Reads a stream of chunks into events of the canonical form.

Theory of operation. Chunks have no parts, only texts that grow: a choice's reasoning, content and refusal, and calls told
apart by ``index``. A part begins with the first text of its kind and ends where another kind begins; calls, of which
several can grow at once, end with their choice. A call begins once its name is known; arguments that come before wait.

Source: OpenAI API reference, "The chat completion chunk object".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from extproc.chat.answer import (
    Failure,
    FailureKind,
    Finish,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    StreamEvent,
    Used,
)
from extproc.chat.losses import Losses
from extproc.chat.parts import Part, Reasoning, Refusal, Text, ToolCall
from extproc.errors import DecodeError
from extproc.formats.openai_chat import reasoning
from extproc.formats.openai_chat.answers import index_of, lose, natives, spoken, stopped_by
from extproc.formats.openai_chat.checked import items, record, string
from extproc.formats.openai_chat.counts import read_error, read_finish, read_usage
from extproc.formats.openai_chat.messages import content, images
from extproc.formats.openai_chat.tools import made_id, read_signature
from extproc.framing.jsontext import parse

_MOST: Final = 1024
"""Parts of one choice, and calls that wait for their names."""
_LONGEST: Final = 1 << 20
"""Characters that wait for the name of a call."""


class Decoder:
    """See ``chat.codec.StreamDecoder``."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._started = False
        self._id = ""
        self._done = False
        self._failed = False
        self._choices: dict[int, _Choice] = {}

    def decode(self, name: str, data: bytes) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        if self._failed or self._done:
            return []
        if data.strip() == b"[DONE]":
            self._done = True
            return []
        event = record(parse(data), "an event")
        if event.get("error"):
            self._failed = True
            return [read_error(200, event)]
        choices = items(event.get("choices"), "choices")
        usage = read_usage(event)
        found: list[StreamEvent] = self._start(event) if choices or usage else []
        for at, choice in enumerate(choices):
            found += self._choice(record(choice, "a choice"), at)
        lose(event, choices, self._losses)
        return [*found, Used(usage)] if usage else found

    def _start(self, event: dict[str, Any]) -> list[StreamEvent]:
        if self._started:
            return []
        self._started = True
        self._id, created = string(event.get("id"), "id"), event.get("created")
        valid = isinstance(created, int | float) and 0 < created < 2**53
        return [Start(self._id, string(event.get("model"), "model"), int(created) if valid and created else 0)]

    def _choice(self, choice: dict[str, Any], at: int) -> list[StreamEvent]:
        index = index_of(choice, at)
        state = self._choices.setdefault(index, _Choice(index, self._id))
        if state.ended:
            return []
        delta = choice.get("delta", choice.get("message"))
        if delta is not None:
            state.read(record(delta, "a delta"))
        if choice.get("finish_reason") is not None:
            finish = read_finish(choice["finish_reason"], calls=state.called)
            stopped = stopped_by(choice, finish)
            state.finish(Finish.STOP_SEQUENCE if stopped else finish, stopped)
        return state.taken()

    def close(self) -> list[StreamEvent]:
        """See ``StreamDecoder``; servers that never say why a choice ended are believed if they say ``[DONE]``."""
        if self._failed:
            return []
        self._failed = True
        ended = any(state.ended for state in self._choices.values())
        if not self._choices or not (self._done or ended):
            return [Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated")]
        found: list[StreamEvent] = []
        for state in self._choices.values():
            if not state.ended:
                finish = Finish.TOOLS if state.called else Finish.STOP
                state.finish(finish if self._done else Finish.OTHER, "")
                found += state.taken()
        return found


@dataclass(slots=True)
class _Call:
    """A call that grows; ``number`` is None until its name is known."""

    id: str
    name: str = ""
    custom: bool = False
    signature: str = ""
    number: int | None = None
    waiting: list[str] = field(default_factory=list)
    size: int = 0  # of what waits


@dataclass(slots=True)
class _Choice:
    """What is open of one choice."""

    index: int
    answer_id: str
    ended: bool = False
    _count: int = 0
    _open: tuple[object, int] | None = None  # the kind and number of the text that grows
    _thought: Reasoning | None = None
    _calls: dict[object, _Call] = field(default_factory=dict)
    _made: int = 0  # calls so far
    _seals: dict[str, Reasoning] = field(default_factory=dict)  # signatures of calls that have not begun, by their ids
    _events: list[StreamEvent] = field(default_factory=list)

    @property
    def called(self) -> bool:
        """Whether there is any call."""
        return self._made > 0

    def taken(self) -> list[StreamEvent]:
        """The events since the last time."""
        found, self._events = self._events, []
        return found

    def read(self, delta: dict[str, Any]) -> None:
        """Take a delta."""
        self._thoughts(delta)
        for part in content(delta.get("content"), ()):
            if isinstance(part, Text):
                self._grow(Text, Text(""), part.text)
            elif isinstance(part, Reasoning):
                self._grow(Reasoning, Reasoning(""), part.text)
            elif isinstance(part, Refusal):
                self._grow(Refusal, Refusal(""), part.text)
            else:
                self._whole(part)
        if refusal := string(delta.get("refusal"), "refusal"):
            self._grow(Refusal, Refusal(""), refusal)
        for part in spoken(delta, ()):
            if isinstance(part, Text):
                self._grow(Text, Text(""), part.text)
        for part in [*images(delta, ()), *natives(delta, ())]:
            self._whole(part)
        for call in items(delta.get("tool_calls"), "tool_calls"):
            self._call(record(call, "a tool call"))
        if delta.get("function_call") is not None:
            self._call({"index": 0, "function": delta["function_call"]})

    def finish(self, finish: Finish, stopped: str) -> None:
        """The choice is complete."""
        self._close()
        for call in self._calls.values():
            if call.number is None:
                self._begin(call)
            assert call.number is not None  # noqa: S101  it has just begun
            self._events.append(PartEnd(self.index, call.number))
        for seal in self._seals.values():
            self._whole(seal)
        self._events.append(Finished(self.index, finish, stopped))
        self.ended = True

    # texts

    def _next(self) -> int:
        if self._count >= _MOST:
            raise DecodeError(f"a choice has more than {_MOST} parts")
        self._count += 1
        return self._count - 1

    def _grow(self, kind: object, part: Part, text: str, signature: str = "", sealed: str = "") -> None:
        if not (text or signature or sealed):
            return
        if self._open is None or self._open[0] != kind:
            self._close()
            self._open = kind, self._next()
            self._events.append(PartStart(self.index, self._open[1], part))
        self._events.append(PartDelta(self.index, self._open[1], text, signature, sealed))

    def _close(self) -> None:
        if self._open is not None:
            self._events.append(PartEnd(self.index, self._open[1]))
            self._open = self._thought = None

    def _whole(self, part: Part) -> None:
        self._close()
        number = self._next()
        self._events += PartStart(self.index, number, part), PartEnd(self.index, number)

    def _thoughts(self, delta: dict[str, Any]) -> None:
        told = False
        for at, value in enumerate(items(delta.get("reasoning_details"), "reasoning_details")):
            detail = reasoning.detailed(value, ())
            told = told or bool(detail.text)
            if detail.maker == "gemini" and detail.sealed and detail.id and not detail.text:
                self._seal(detail)
            else:
                self._detail(detail, value.get("index", at))
        text, _ = reasoning.plain(delta)
        if text and not told:
            self._grow(Reasoning, Reasoning(""), text)

    def _detail(self, detail: Reasoning, index: Any) -> None:
        """Goes on with the open thought where it is of the same index, maker and kind, and not sealed yet."""
        shell = Reasoning("", maker=detail.maker, summary=detail.summary, id=detail.id)
        before = self._thought
        if before is not None and not before.sealed and before.maker == shell.maker:
            same = not detail.text or before.summary == shell.summary
            index_before = self._open[0][1] if self._open and isinstance(self._open[0], tuple) else None
            if same and index_before == index and self._open:
                self._grow(self._open[0], shell, detail.text, detail.signature, detail.sealed)
                before.sealed += detail.sealed
                return
        if detail.text or detail.signature or detail.sealed:
            self._close()
            self._grow((Reasoning, index), shell, detail.text, detail.signature, detail.sealed)
            self._thought = Reasoning("", maker=detail.maker, summary=detail.summary, sealed=detail.sealed)

    def _seal(self, detail: Reasoning) -> None:
        """Gemini's signature of a call: it comes before, with or after it."""
        for call in self._calls.values():
            if call.id == detail.id and call.number is not None:
                self._events.append(PartDelta(self.index, call.number, signature=detail.sealed))
                return
        if len(self._seals) >= _MOST:
            raise DecodeError(f"a choice has more than {_MOST} signatures")
        self._seals[detail.id] = detail

    # calls

    def _call(self, value: dict[str, Any]) -> None:
        custom = value.get("type") == "custom" or ("custom" in value and "function" not in value)
        inner = record(value.get("custom" if custom else "function") or {}, "a tool call's function")
        id_, name = string(value.get("id"), "id"), string(inner.get("name"), "a called function's name")
        call = self._called(value, id_, name)
        call.custom = call.custom or custom
        arguments = string(inner.get("input" if custom else "arguments"), "arguments")
        signature = read_signature(value)
        if call.number is None:
            call.name = call.name or name
            call.size += len(arguments) + len(signature)
            if call.size > _LONGEST:
                raise DecodeError("a call has no name")
            call.waiting.append(arguments)
            call.signature += signature
            if call.name:
                self._begin(call)
        elif arguments or signature:
            self._events.append(PartDelta(self.index, call.number, arguments, signature))

    def _called(self, value: dict[str, Any], id_: str, name: str) -> _Call:
        """The call a delta belongs to: by index; servers without indices, or with the same one for all, send new ids."""
        index = value.get("index")
        if index is None:
            index = next((key for key, call in self._calls.items() if call.id == id_), None) if id_ else None
            if index is None and not id_ and not name and self._calls:
                index = next(reversed(self._calls))
            if index is None:
                index = ("new", self._made)
        elif isinstance(index, bool) or not isinstance(index, int) or index < 0:
            raise DecodeError("an index is not a number")
        known = self._calls.get(index)
        if known is not None and id_ and name and known.name and id_ != known.id:
            index = next((key for key, call in self._calls.items() if call.id == id_), (index, id_))
            known = self._calls.get(index)
        if known is None:
            if self._made >= _MOST:
                raise DecodeError(f"a choice has more than {_MOST} calls")
            known = self._calls[index] = _Call(id_ or made_id(self.answer_id, self.index, self._made))
            self._made += 1
        return known

    def _begin(self, call: _Call) -> None:
        self._close()
        call.number = self._next()
        if seal := self._seals.pop(call.id, None):
            call.signature += seal.sealed
        maker = "gemini" if call.signature else ""
        shell = ToolCall(call.id, call.name, "", call.custom, "", maker)
        self._events.append(PartStart(self.index, call.number, shell))
        waiting = "".join(call.waiting)
        call.waiting.clear()
        if waiting or call.signature:
            self._events.append(PartDelta(self.index, call.number, waiting, call.signature))
