"""Streams of Converse, written from canonical events.

Source: Amazon Bedrock API reference, ``ConverseStream``. A block begins with its first word, so that none is empty: the API
does not take empty texts back. Tokens are told after the reason to stop, when the stream is closed.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.answer import Failure, Finished, PartDelta, PartStart, Start
from extproc.chat.parts import Part, Reasoning, Refusal, Text, ToolCall
from extproc.formats.bedrock.answer import CUSTOM, block, encode_error, made_id, stopped
from extproc.formats.bedrock.says import event
from extproc.formats.bedrock.words import MAKER, call_id, exception, write_usage
from extproc.formats.blockwise import Block, BlockEncoder
from extproc.framing.aws import framed
from extproc.framing.jsontext import dump

_BEFORE: Final = f'{{"{CUSTOM}":"'
_AFTER: Final = '"}'
"""Around the text that a tool takes, so that it is JSON."""


class Encoder(BlockEncoder):
    """See ``chat.codec.StreamEncoder``."""

    __slots__ = ()

    def _fail(self, failure: Failure) -> bytes:
        return framed(exception(failure.kind), dump(encode_error(failure)), "exception")

    def _conclude(self, finished: Finished) -> bytes:
        end = event("messageStop", stopped(finished.finish, finished.stopped_by, self._losses))
        if self._usage is None:
            return end
        return end + event("metadata", {"usage": write_usage(self._usage), "metrics": {"latencyMs": 0}})

    def _start(self, start: Start) -> bytes:
        return event("messageStart", {"role": "assistant"})

    def _begin(self, start: PartStart) -> bytes:
        part = start.part
        found = Block(part)
        if isinstance(part, ToolCall):
            self._blocks[start.number] = found
            id_ = call_id(part.id or made_id(self._context, start.number))
            out = self._open(found, {"toolUse": {"toolUseId": id_, "name": part.name}})
            out += self._delta(found, {"toolUse": {"input": _BEFORE}}) if part.custom else b""
            return out + self._go_on(found, PartDelta(0, start.number, part.arguments, part.signature))
        if isinstance(part, Text | Refusal):
            self._blocks[start.number] = found
            return self._go_on(found, PartDelta(0, start.number, part.text))
        if isinstance(part, Reasoning):
            self._blocks[start.number] = found
            return self._go_on(found, PartDelta(0, start.number, part.text, part.signature, part.sealed))
        whole = block(part, "", self._losses)
        return self._said_whole(part, whole) if whole else b""

    def _said_whole(self, part: Part, whole: dict[str, Any]) -> bytes:
        """The events of a block that comes as a whole: a picture, what one of Bedrock's own tools did."""
        said = _pieces(whole)
        if said is None:
            self._losses.add(part.where, "a part that a stream does not have")
            return b""
        found = Block(part)
        start, delta = said
        return self._open(found, start) + self._delta(found, delta) + self._end(found)

    def _open(self, found: Block, start: dict[str, Any] | None) -> bytes:
        """The beginning of a block; nothing where it has begun, or begins with its first word."""
        if found.index >= 0:
            return b""
        found.index = self._next
        self._next += 1
        return event("contentBlockStart", {"contentBlockIndex": found.index, "start": start}) if start else b""

    def _delta(self, found: Block, delta: dict[str, Any]) -> bytes:
        self._open(found, None)
        return event("contentBlockDelta", {"contentBlockIndex": found.index, "delta": delta})

    def _go_on(self, block: Block, delta: PartDelta) -> bytes:
        part = block.part
        if isinstance(part, Reasoning):
            return self._think(block, part, delta)
        if isinstance(part, ToolCall):
            if delta.signature:
                self._losses.add(part.where, "a call's signature")
            text = dump(delta.text)[1:-1].decode() if part.custom else delta.text
            return self._delta(block, {"toolUse": {"input": text}}) if text else b""
        return self._delta(block, {"text": delta.text}) if delta.text else b""

    def _think(self, block: Block, part: Reasoning, delta: PartDelta) -> bytes:
        own = part.maker == MAKER
        if (delta.signature or delta.sealed) and not own and not block.lost:
            block.lost = True
            self._losses.add(part.where, "another provider's signature")
        told = [("text", delta.text)]
        told += [("signature", delta.signature), ("redactedContent", delta.sealed)] if own else []
        return b"".join([self._delta(block, {"reasoningContent": {name: said}}) for name, said in told if said])

    def _end(self, block: Block) -> bytes:
        out = b""
        if isinstance(block.part, ToolCall) and block.part.custom:
            self._losses.add(block.part.where, "arguments that are no JSON object")
            out = self._delta(block, {"toolUse": {"input": _AFTER}})
        return out + event("contentBlockStop", {"contentBlockIndex": block.index}) if block.index >= 0 else out


def _pieces(whole: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """How a block begins in a stream, and the delta with the rest of it; None where streams have no such block."""
    kind, value = next(iter(whole.items()))
    if kind == "image":
        return {kind: {"format": value["format"]}}, {kind: {"source": value["source"]}}
    if kind == "toolUse":
        rest = {name: each for name, each in value.items() if name != "input"}
        return {kind: rest}, {kind: {"input": dump(value.get("input", {})).decode()}}
    if kind == "toolResult":
        rest = {name: each for name, each in value.items() if name != "content"}
        return {kind: rest}, {kind: value.get("content", [])}
    return None
