"""Streams of Converse, read into canonical events.

Source: Amazon Bedrock API reference, ``ConverseStream``. Blocks have a number of their own; only calls, results and pictures
are announced by an event, all others begin with their first delta. A block the canonical form has no part for is collected
and said as a whole when it ends. What a text cites is not read, as in whole answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from extproc.chat.answer import (
    Failure,
    FailureKind,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    StreamEvent,
    Used,
)
from extproc.chat.losses import CITED, WATCHED, Losses
from extproc.chat.parts import Part, Reasoning, Text, ToolCall
from extproc.errors import DecodeError
from extproc.formats.bedrock.answer import decode_error, stopped_by
from extproc.formats.bedrock.blocks import SERVER, read_block
from extproc.formats.bedrock.words import MAKER, finish, read_usage
from extproc.formats.members import member, needed
from extproc.framing.jsontext import Path, parse

_CONTENT: Final = ("output", "message", "content")
_TRUNCATED: Final = Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated", 502)
_MOST: Final = 16 << 20
"""Bytes of events that are collected."""


@dataclass(slots=True)
class _Block:
    """An open block: its part as it began and its number, or its JSON where it is collected. ``said``: it has a delta."""

    part: Part | None
    number: int = -1
    said: bool = False
    value: dict[str, Any] | None = None


class Decoder:
    """See ``chat.codec.StreamDecoder``."""

    __slots__ = ("_blocks", "_collected", "_failed", "_finished", "_losses", "_next", "_size", "_started")

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._blocks: dict[int, _Block] = {}
        self._next = 0  # the number of the next part
        self._collected = self._size = 0  # bytes of the events collected, and of the current one
        self._started = self._finished = self._failed = False

    def decode(self, name: str, data: bytes) -> list[StreamEvent]:
        """See ``StreamDecoder``. The data says the event's name once more (``framing.aws``)."""
        event = parse(data)
        self._size = len(data)
        if not isinstance(event, dict) or len(event) != 1:
            raise DecodeError("an event is not of one type")
        ((kind, value),) = event.items()
        if self._failed or not isinstance(value, dict):
            return []
        if kind.endswith("Exception"):
            self._failed = True
            return [*self._start(), decode_error(0, value, kind)]
        if kind == "metadata":
            self._losses.add_members(value, {"trace": WATCHED}, ())
            usage = member(value, "usage", dict)
            return [*self._start(), Used(read_usage(usage))] if usage is not None else []
        read = _READERS.get(kind)
        return [] if read is None or self._finished else [*self._start(), *read(self, value)]

    def close(self) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        if self._failed or self._finished:
            return []
        self._failed = True
        return [*self._start(), _TRUNCATED]

    def _start(self) -> list[StreamEvent]:
        begun: list[StreamEvent] = [] if self._started else [Start()]
        self._started = True
        return begun

    def _nothing(self, value: dict[str, Any]) -> list[StreamEvent]:
        """A message begins, which has been said."""
        return []

    def _begin(self, value: dict[str, Any]) -> list[StreamEvent]:
        index, start = needed(value, "contentBlockIndex", int), member(value, "start", dict, {})
        events = self._end_block(index)
        call = member(start, "toolUse", dict)
        if call is not None and call.get("type") != SERVER:
            part = ToolCall(needed(call, "toolUseId", str), needed(call, "name", str))
            return events + self._open(index, part)
        if start:
            self._blocks[index] = _Block(None, value=start)
        return events

    def _go_on(self, value: dict[str, Any]) -> list[StreamEvent]:
        index, delta = needed(value, "contentBlockIndex", int), member(value, "delta", dict, {})
        block = self._blocks.get(index)
        if block and block.value is not None:
            self._collected += self._size
            if self._collected > _MOST:
                raise DecodeError("a block is too long")
            _collect(block.value, delta)
            return []
        if "text" in delta:
            return self._say(index, Text(""), PartDelta(0, 0, needed(delta, "text", str)))
        if "reasoningContent" in delta:
            return self._say(index, Reasoning("", maker=MAKER), _thought(needed(delta, "reasoningContent", dict)))
        if "toolUse" in delta:
            if block is None or not isinstance(block.part, ToolCall):
                raise DecodeError("a call goes on that never began")
            source = member(needed(delta, "toolUse", dict), "input", str, "")
            return self._say(index, block.part, PartDelta(0, 0, source))
        self._losses.add_members(delta, {"citation": CITED}, (*_CONTENT, index))
        return []

    def _say(self, index: int, part: Part, delta: PartDelta) -> list[StreamEvent]:
        """More of a block; it begins where it is not open, and a new one where it is open as another kind."""
        events: list[StreamEvent] = []
        block = self._blocks.get(index)
        if block is None or type(block.part) is not type(part):
            events = self._end_block(index) + self._open(index, part)
            block = self._blocks[index]
        if delta.text or delta.signature or delta.sealed:
            block.said = True
            delta.number = block.number
            events.append(delta)
        return events

    def _open(self, index: int, part: Part) -> list[StreamEvent]:
        self._blocks[index] = _Block(part, self._next)
        self._next += 1
        return [PartStart(0, self._next - 1, part)]

    def _end(self, value: dict[str, Any]) -> list[StreamEvent]:
        return self._end_block(needed(value, "contentBlockIndex", int))

    def _end_block(self, index: int) -> list[StreamEvent]:
        block = self._blocks.pop(index, None)
        if block is None:
            return []
        if block.value is not None:
            return self._whole(block.value, (*_CONTENT, index))
        unsaid = isinstance(block.part, ToolCall) and not block.said
        begun: list[StreamEvent] = [PartDelta(0, block.number, "{}")] if unsaid else []
        return [*begun, PartEnd(0, block.number)]

    def _whole(self, value: dict[str, Any], path: Path) -> list[StreamEvent]:
        """The parts of a block that was collected."""
        call = value.get("toolUse")
        if isinstance(call, dict) and isinstance(call.get("input"), str):
            call["input"] = parse(call["input"].encode("utf-8", "replace")) if call["input"].strip() else {}
        events: list[StreamEvent] = []
        for part in read_block(value, path, self._losses) if len(value) == 1 else []:
            events += [PartStart(0, self._next, part), PartEnd(0, self._next)]
            self._next += 1
        return events

    def _finish(self, value: dict[str, Any]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for index in list(self._blocks):
            events += self._end_block(index)
        self._finished = True
        return [*events, Finished(0, finish(value.get("stopReason")), stopped_by(value))]


def _collect(value: dict[str, Any], delta: dict[str, Any]) -> None:
    """Put a delta to what a block has: texts are joined, lists too (a result's is its content), all else is replaced."""
    for name, more in delta.items():
        before = value.get(name)
        if isinstance(before, dict) and isinstance(more, list):
            known = before.get("content")
            if isinstance(known, list):
                known += more
            else:
                before["content"] = [*more]
        elif isinstance(before, dict) and isinstance(more, dict):
            _collect(before, more)
        elif isinstance(before, str) and isinstance(more, str):
            value[name] = before + more
        else:
            value[name] = more


_READERS: Final = {
    "messageStart": Decoder._nothing,
    "contentBlockStart": Decoder._begin,
    "contentBlockDelta": Decoder._go_on,
    "contentBlockStop": Decoder._end,
    "messageStop": Decoder._finish,
}


def _thought(told: dict[str, Any]) -> PartDelta:
    return PartDelta(
        0,
        0,
        member(told, "text", str, ""),
        member(told, "signature", str, ""),
        member(told, "redactedContent", str, ""),
    )
