"""Streams of Converse, written from canonical events.

Source: Amazon Bedrock API reference, ``ConverseStream``. A block begins with its first word, so that none is empty: the API
does not take empty texts back. Tokens are told after the reason to stop, when the stream is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from extproc.chat.answer import Failure, FailureKind, Finished, PartDelta, PartStart, Start, StreamEvent, Usage, Used
from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.parts import Part, Reasoning, Refusal, Text, ToolCall
from extproc.formats.bedrock.answer import CUSTOM, block, encode_error, made_id, stopped
from extproc.formats.bedrock.says import event
from extproc.formats.bedrock.words import MAKER, call_id, exception, write_usage
from extproc.framing.aws import framed
from extproc.framing.jsontext import dump

_BROKEN: Final = Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated", 502)
_BEFORE: Final = f'{{"{CUSTOM}":"'
_AFTER: Final = '"}'
"""Around the text that a tool takes, so that it is JSON."""


@dataclass(slots=True)
class _Block:
    """A part that is open; ``index`` is its block's, -1 as long as it has none. ``lost``: a loss of it was noted."""

    part: Part
    index: int = -1
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
            return framed(exception(event.kind), dump(encode_error(event)), "exception")
        if isinstance(event, Used):
            self._usage = event.usage
            return b""
        if isinstance(event, Start):
            return self._start()
        if event.choice:
            self._losses.add(("choices", event.choice), "one answer is all there can be")
            return b""
        head = self._start()
        if isinstance(event, Finished):
            self._finished = event
            return head
        if isinstance(event, PartStart):
            return head + self._begin(event)
        found = self._blocks.get(event.number)
        if found is None:
            return head
        if isinstance(event, PartDelta):
            return head + self._go_on(found, event)
        del self._blocks[event.number]
        return head + self._end(found)

    def close(self) -> bytes:
        """See ``StreamEncoder``. A stream whose end nobody has told has failed."""
        if self._done:
            return b""
        finished = self._finished
        if finished is None:
            return self.encode(_BROKEN)
        self._done = True
        out = [self._end(each) for each in self._blocks.values()]
        out.append(event("messageStop", stopped(finished.finish, finished.stopped_by, self._losses)))
        if self._usage is not None:
            out.append(event("metadata", {"usage": write_usage(self._usage), "metrics": {"latencyMs": 0}}))
        return b"".join(out)

    def _start(self) -> bytes:
        begun, self._started = self._started, True
        return b"" if begun else event("messageStart", {"role": "assistant"})

    def _begin(self, start: PartStart) -> bytes:
        part = start.part
        found = _Block(part)
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
        found = _Block(part)
        start, delta = said
        return self._open(found, start) + self._delta(found, delta) + self._end(found)

    def _open(self, found: _Block, start: dict[str, Any] | None) -> bytes:
        """The beginning of a block; nothing where it has begun, or begins with its first word."""
        if found.index >= 0:
            return b""
        found.index = self._next
        self._next += 1
        return event("contentBlockStart", {"contentBlockIndex": found.index, "start": start}) if start else b""

    def _delta(self, found: _Block, delta: dict[str, Any]) -> bytes:
        self._open(found, None)
        return event("contentBlockDelta", {"contentBlockIndex": found.index, "delta": delta})

    def _go_on(self, found: _Block, delta: PartDelta) -> bytes:
        part = found.part
        if isinstance(part, Reasoning):
            return self._think(found, part, delta)
        if isinstance(part, ToolCall):
            if delta.signature:
                self._losses.add(part.where, "a call's signature")
            text = dump(delta.text)[1:-1].decode() if part.custom else delta.text
            return self._delta(found, {"toolUse": {"input": text}}) if text else b""
        return self._delta(found, {"text": delta.text}) if delta.text else b""

    def _think(self, found: _Block, part: Reasoning, delta: PartDelta) -> bytes:
        own = part.maker == MAKER
        if (delta.signature or delta.sealed) and not own and not found.lost:
            found.lost = True
            self._losses.add(part.where, "another provider's signature")
        told = [("text", delta.text)]
        told += [("signature", delta.signature), ("redactedContent", delta.sealed)] if own else []
        return b"".join([self._delta(found, {"reasoningContent": {name: said}}) for name, said in told if said])

    def _end(self, found: _Block) -> bytes:
        out = b""
        if isinstance(found.part, ToolCall) and found.part.custom:
            self._losses.add(found.part.where, "arguments that are no JSON object")
            out = self._delta(found, {"toolUse": {"input": _AFTER}})
        return out + event("contentBlockStop", {"contentBlockIndex": found.index}) if found.index >= 0 else out


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
