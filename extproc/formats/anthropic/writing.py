"""Streams of messages, written from canonical events.

Source: Claude API reference, "Streaming messages". A block begins with its first word, so that none is empty: the API does
not take empty texts back. The reason to stop and the tokens are said once, when the stream is closed.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Failure, Finished, PartDelta, PartStart, Start
from extproc.chat.parts import Native, Reasoning, Refusal, Text, ToolCall
from extproc.formats.anthropic.answer import encode_error
from extproc.formats.anthropic.says import event, message, stopped
from extproc.formats.anthropic.words import MAKER, NAME, stop_reason, write_usage
from extproc.formats.blockwise import Block, BlockEncoder
from extproc.framing.jsontext import dump
from extproc.framing.sse import framed

_CUSTOM: Final = ('{"input":"', '"}')
"""Around the text that a tool takes, so that it is JSON."""


class Encoder(BlockEncoder):
    """See ``chat.codec.StreamEncoder``."""

    __slots__ = ()

    def _fail(self, failure: Failure) -> bytes:
        return framed(dump(encode_error(failure)), "error")

    def _conclude(self, finished: Finished) -> bytes:
        return stopped(stop_reason(finished.finish), write_usage(self._usage), finished.stopped_by)

    def _start(self, start: Start) -> bytes:
        id_ = start.id or f"msg_{self._context.request_id}"
        head = message(id_, start.model or self._context.model, [], None, write_usage(self._usage))
        return event("message_start", message=head)

    def _begin(self, start: PartStart) -> bytes:
        part = start.part
        block = self._blocks[start.number] = Block(part)
        if isinstance(part, ToolCall):
            id_ = part.id or f"toolu_{self._context.request_id}_{start.number}"
            out = self._open(block, {"type": "tool_use", "id": id_, "name": part.name, "input": {}})
            given = self._json(block, dump("")[1:-1].decode(), _CUSTOM[0]) if part.custom else b""
            more = PartDelta(0, start.number, part.arguments, part.signature)
            return out + given + self._go_on(block, more)
        if isinstance(part, Text | Refusal):
            return self._go_on(block, PartDelta(0, start.number, part.text))
        if isinstance(part, Reasoning):
            return self._go_on(block, PartDelta(0, start.number, part.text, part.signature, part.sealed))
        if isinstance(part, Native) and part.format == NAME and isinstance(part.value, dict):
            return self._open(block, part.value)
        self._losses.add(part.where, "a part that messages do not have")
        return b""

    def _open(self, block: Block, value: dict[str, Any]) -> bytes:
        """The beginning of a block; nothing where it has begun."""
        if block.index >= 0:
            return b""
        block.index = self._next
        self._next += 1
        return event("content_block_start", index=block.index, content_block=value)

    def _delta(self, block: Block, kind: str, name: str, text: str) -> bytes:
        return event("content_block_delta", index=block.index, delta={"type": kind, name: text})

    def _json(self, block: Block, text: str, before: str = "") -> bytes:
        return self._delta(block, "input_json_delta", "partial_json", before + text)

    def _go_on(self, block: Block, delta: PartDelta) -> bytes:
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

    def _think(self, block: Block, part: Reasoning, delta: PartDelta) -> bytes:
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

    def _end(self, block: Block) -> bytes:
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
