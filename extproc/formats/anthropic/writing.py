"""Streams of messages, written from canonical events.

Source: Claude API reference, "Streaming messages". A block begins with its first word, so that none is empty: the API does
not take empty texts back. The reason to stop and the tokens are said once, when the stream is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from extproc.chat.answer import (
    Failure,
    FailureKind,
    Finished,
    PartDelta,
    PartStart,
    Start,
    StreamEvent,
    Usage,
    Used,
)
from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.parts import Native, Part, Reasoning, Refusal, Text, ToolCall
from extproc.formats.anthropic.answer import encode_error
from extproc.formats.anthropic.says import event, message, stopped
from extproc.formats.anthropic.words import MAKER, NAME, stop_reason, write_usage
from extproc.framing.jsontext import dump
from extproc.framing.sse import framed

_BROKEN: Final = Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated", 502)
_CUSTOM: Final = ('{"input":"', '"}')
"""Around the text that a tool takes, so that it is JSON."""


@dataclass(slots=True)
class _Block:
    """A part that is open; ``index`` is its block's, -1 as long as it has none. ``sealed`` is said when it ends."""

    part: Part
    index: int = -1
    sealed: str = ""
    lost: bool = False


class Encoder:
    """See ``chat.codec.StreamEncoder``."""

    __slots__ = ("_blocks", "_context", "_done", "_finished", "_losses", "_next", "_started", "_usage")

    def __init__(self, context: Context, losses: Losses) -> None:
        self._context = context
        self._losses = losses
        self._blocks: dict[int, _Block] = {}
        self._next = 0  # the number of the next block
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._started = self._done = False

    def encode(self, event: StreamEvent) -> bytes:
        """See ``StreamEncoder``."""
        if self._done:
            return b""
        if isinstance(event, Failure):
            self._done = True
            return framed(dump(encode_error(event)), "error")
        if isinstance(event, Used):
            self._usage = event.usage
            return b""
        if isinstance(event, Start):
            return self._start(event)
        if event.choice:
            self._losses.add(("choices", event.choice), "one answer is all there can be")
            return b""
        head = self._start(Start())
        if isinstance(event, Finished):
            self._finished = event
            return head
        if isinstance(event, PartStart):
            return head + self._begin(event)
        block = self._blocks.get(event.number)
        if block is None:
            return head
        if isinstance(event, PartDelta):
            return head + self._go_on(block, event)
        del self._blocks[event.number]
        return head + self._end(block)

    def close(self) -> bytes:
        """See ``StreamEncoder``. A stream whose end nobody has told has failed."""
        if self._done:
            return b""
        finished = self._finished
        if finished is None:
            return self.encode(_BROKEN)
        self._done = True
        out = [self._end(block) for block in self._blocks.values()]
        out.append(stopped(stop_reason(finished.finish), write_usage(self._usage), finished.stopped_by))
        return b"".join(out)

    def _start(self, start: Start) -> bytes:
        if self._started:
            return b""
        self._started = True
        id_ = start.id or f"msg_{self._context.request_id}"
        head = message(id_, start.model or self._context.model, [], None, write_usage(self._usage))
        return event("message_start", message=head)

    def _begin(self, event: PartStart) -> bytes:
        part = event.part
        block = self._blocks[event.number] = _Block(part)
        if isinstance(part, ToolCall):
            id_ = part.id or f"toolu_{self._context.request_id}_{event.number}"
            out = self._open(block, {"type": "tool_use", "id": id_, "name": part.name, "input": {}})
            given = self._json(block, dump("")[1:-1].decode(), _CUSTOM[0]) if part.custom else b""
            more = PartDelta(0, event.number, part.arguments, part.signature)
            return out + given + self._go_on(block, more)
        if isinstance(part, Text | Refusal):
            return self._go_on(block, PartDelta(0, event.number, part.text))
        if isinstance(part, Reasoning):
            return self._go_on(block, PartDelta(0, event.number, part.text, part.signature, part.sealed))
        if isinstance(part, Native) and part.format == NAME and isinstance(part.value, dict):
            return self._open(block, part.value)
        self._losses.add(part.where, "a part that messages do not have")
        return b""

    def _open(self, block: _Block, value: dict[str, Any]) -> bytes:
        """The beginning of a block; nothing where it has begun."""
        if block.index >= 0:
            return b""
        block.index = self._next
        self._next += 1
        return event("content_block_start", index=block.index, content_block=value)

    def _delta(self, block: _Block, kind: str, name: str, text: str) -> bytes:
        return event("content_block_delta", index=block.index, delta={"type": kind, name: text})

    def _json(self, block: _Block, text: str, before: str = "") -> bytes:
        return self._delta(block, "input_json_delta", "partial_json", before + text)

    def _go_on(self, block: _Block, delta: PartDelta) -> bytes:
        part = block.part
        if isinstance(part, Text | Refusal):
            if not delta.text:
                return b""
            head = self._open(block, {"type": "text", "text": ""})
            return head + self._delta(block, "text_delta", "text", delta.text)
        if isinstance(part, Reasoning):
            return self._think(block, part, delta)
        if isinstance(part, ToolCall):
            if delta.signature:
                self._losses.add(part.where, "a call's signature")
            text = dump(delta.text)[1:-1].decode() if part.custom else delta.text
            return self._json(block, text) if text else b""
        return b""

    def _think(self, block: _Block, part: Reasoning, delta: PartDelta) -> bytes:
        own = part.maker == MAKER
        if (delta.signature or delta.sealed) and not own and not block.lost:
            block.lost = True
            self._losses.add(part.where, "another provider's signature")
        block.sealed += delta.sealed if own else ""
        out = b""
        if delta.text or (own and delta.signature):
            out = self._open(block, {"type": "thinking", "thinking": "", "signature": ""})
        if delta.text:
            out += self._delta(block, "thinking_delta", "thinking", delta.text)
        if own and delta.signature:
            out += self._delta(block, "signature_delta", "signature", delta.signature)
        return out

    def _end(self, block: _Block) -> bytes:
        part = block.part
        out = b""
        if isinstance(part, ToolCall) and part.custom:
            self._losses.add(part.where, "arguments that are no JSON object")
            out = self._json(block, _CUSTOM[1])
        elif block.sealed and block.index < 0:
            out = self._open(block, {"type": "redacted_thinking", "data": block.sealed})
        elif block.sealed:
            self._losses.add(part.where, "reasoning that is sealed")
        return out + event("content_block_stop", index=block.index) if block.index >= 0 else out
