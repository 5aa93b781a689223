"""Streams of messages, read into canonical events.

Source: Claude API reference, "Streaming messages". Blocks come one after another, each with a number of its own; a block
the canonical form has no part for is collected and said as a whole when it ends.
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
from extproc.chat.losses import CITED, Losses
from extproc.chat.parts import Native, Reasoning, Text, ToolCall
from extproc.errors import DecodeError
from extproc.formats.anthropic.answer import decode_error
from extproc.formats.anthropic.blocks import read_block
from extproc.formats.anthropic.words import NAME, finish, read_usage
from extproc.formats.members import member, needed
from extproc.framing.jsontext import parse
from extproc.framing.sse import DONE

_TRUNCATED: Final = Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated", 502)
_EMPTY: Final[dict[str, dict[str, Any]]] = {
    "text": {"text": ""},
    "thinking": {"thinking": ""},
    "redacted_thinking": {},
    "tool_use": {"input": {}},
}
"""Blocks that are said piece by piece, and what each begins with where its beginning does not say so."""


@dataclass(slots=True)
class _Block:
    """An open block: its part's number, or its JSON where it is collected; ``source`` is its input as it came."""

    part: Text | Reasoning | ToolCall | Native
    number: int = -1
    source: list[str] = field(default_factory=list)


class Decoder:
    """See ``chat.codec.StreamDecoder``."""

    __slots__ = ("_blocks", "_ended", "_failed", "_finished", "_losses", "_next", "_started", "_usage")

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._blocks: dict[int, _Block] = {}
        self._next = 0  # the number of the next part
        self._usage: dict[str, Any] = {}
        self._started = self._finished = self._failed = self._ended = False

    def decode(self, name: str, data: bytes) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        if self._failed or self._ended or data.strip() == DONE:
            return []
        value = parse(data)
        if not isinstance(value, dict):
            raise DecodeError("an event is no object")
        kind = member(value, "type", str, name)
        if kind == "message_start":
            return self._start(member(value, "message", dict, {}))
        if kind == "error":
            self._failed = True
            return [decode_error(0, value)]
        if kind == "message_stop":
            self._ended = self._started
            return self._conclude(Finish.OTHER, "") if self._started else []
        begun: list[StreamEvent] = []
        if kind in ("content_block_start", "content_block_delta", "content_block_stop", "message_delta"):
            begun = self._start({})
        if kind == "content_block_start":
            return begun + self._begin(value)
        if kind == "content_block_delta":
            return begun + self._go_on(value)
        if kind == "content_block_stop":
            return begun + self._end(needed(value, "index", int))
        return begun + self._finish(value) if kind == "message_delta" else []

    def close(self) -> list[StreamEvent]:
        """See ``StreamDecoder``."""
        if self._failed or self._finished:
            return []
        self._failed = True
        return [_TRUNCATED]

    def _start(self, message: dict[str, Any]) -> list[StreamEvent]:
        if self._started:
            return []
        self._started = True
        usage = member(message, "usage", dict, {})
        self._usage.update(usage)
        events: list[StreamEvent] = [Start(member(message, "id", str, ""), member(message, "model", str, ""))]
        return [*events, Used(read_usage(self._usage))] if usage else events

    def _begin(self, value: dict[str, Any]) -> list[StreamEvent]:
        index = needed(value, "index", int)
        if index in self._blocks or self._finished:
            raise DecodeError("a block begins that is open, or after the end")
        said = needed(value, "content_block", dict)
        kind = needed(said, "type", str)
        part = read_block({**_EMPTY.get(kind, {}), **said}, ("content", index), self._losses)[0]
        if kind not in _EMPTY or not isinstance(part, Text | Reasoning | ToolCall):
            self._blocks[index] = _Block(Native(NAME, said))
            return []
        block = self._blocks[index] = _Block(part, self._next)
        self._next += 1
        if isinstance(part, ToolCall):
            return [PartStart(0, block.number, ToolCall(part.id, part.name))]
        if isinstance(part, Text):
            return [PartStart(0, block.number, Text("")), *_said(PartDelta(0, block.number, part.text))]
        more = PartDelta(0, block.number, part.text, part.signature, part.sealed)
        return [PartStart(0, block.number, Reasoning("", maker=part.maker)), *_said(more)]

    def _go_on(self, value: dict[str, Any]) -> list[StreamEvent]:
        block = self._blocks.get(needed(value, "index", int))
        if block is None:
            raise DecodeError("a block goes on that never began")
        delta = needed(value, "delta", dict)
        kind = needed(delta, "type", str)
        if kind == "input_json_delta":
            source = needed(delta, "partial_json", str)
            block.source.append(source)
            told = isinstance(block.part, ToolCall) and source
            return [PartDelta(0, block.number, source)] if told else []
        if isinstance(block.part, Native):
            _collect(block.part.value, delta)
        elif kind == "text_delta" and isinstance(block.part, Text):
            return _said(PartDelta(0, block.number, needed(delta, "text", str)))
        elif kind == "thinking_delta" and isinstance(block.part, Reasoning):
            return _said(PartDelta(0, block.number, needed(delta, "thinking", str)))
        elif kind == "signature_delta" and isinstance(block.part, Reasoning):
            return _said(PartDelta(0, block.number, signature=needed(delta, "signature", str)))
        elif kind in ("text_delta", "thinking_delta", "signature_delta"):
            raise DecodeError("a block goes on as another kind")
        elif kind == "citations_delta":
            self._losses.add(("content", value["index"], "citations"), CITED)
        return []

    def _end(self, index: int) -> list[StreamEvent]:
        block = self._blocks.pop(index, None)
        if block is None:
            return []
        source = "".join(block.source)
        if isinstance(block.part, Native):
            if source.strip():
                block.part.value["input"] = parse(_bytes(source))
            whole: list[StreamEvent] = []
            for part in read_block(block.part.value, ("content", index), self._losses):
                whole += [PartStart(0, self._next, part), PartEnd(0, self._next)]
                self._next += 1
            return whole
        events: list[StreamEvent] = []
        if isinstance(block.part, ToolCall) and not source:
            events.append(PartDelta(0, block.number, block.part.arguments))
        return [*events, PartEnd(0, block.number)]

    def _finish(self, value: dict[str, Any]) -> list[StreamEvent]:
        delta = member(value, "delta", dict, {})
        usage = member(value, "usage", dict, {})
        self._usage.update({name: count for name, count in usage.items() if count is not None})
        reason = finish(delta.get("stop_reason"))
        events = self._conclude(reason, member(delta, "stop_sequence", str, "")) if reason else []
        return [*events, Used(read_usage(self._usage))] if usage else events

    def _conclude(self, reason: Finish, stopped_by: str) -> list[StreamEvent]:
        """The end of the message, told once; whatever is open ends before it."""
        if self._finished:
            return []
        self._finished = True
        ends = [event for index in list(self._blocks) for event in self._end(index)]
        return [*ends, Finished(0, reason, stopped_by)]


def _said(delta: PartDelta) -> list[StreamEvent]:
    return [delta] if delta.text or delta.signature or delta.sealed else []


def _collect(value: dict[str, Any], delta: dict[str, Any]) -> None:
    """Put what a delta says behind what a collected block has under the same name."""
    for name, more in delta.items():
        if name != "type" and isinstance(more, str):
            before = value.get(name)
            value[name] = (before if isinstance(before, str) else "") + more


def _bytes(source: str) -> bytes:
    try:
        return source.encode()
    except UnicodeEncodeError:
        raise DecodeError("a block's input is not UTF-8") from None
