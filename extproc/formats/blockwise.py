"""Streams of one answer made of numbered blocks, written from canonical events: what such formats have in common.

Owns: which event means what, that an answer begins and ends once, and that the reason to stop and the tokens are said at the
end. How a block looks is the format's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

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
from extproc.chat.parts import Part

_BROKEN: Final = Failure(FailureKind.INTERNAL, "The provider's stream broke off.", "stream_truncated", 502)


@dataclass(slots=True)
class Block:
    """A part that is open; ``index`` is its block's, -1 as long as it has none.

    ``sealed`` is said when it ends, where the format says it then. ``lost``: a loss of it was noted.
    """

    part: Part
    index: int = -1
    sealed: str = ""
    lost: bool = False


class BlockEncoder(ABC):
    """See ``chat.codec.StreamEncoder``."""

    __slots__ = ("_blocks", "_context", "_done", "_finished", "_losses", "_next", "_started", "_usage")

    def __init__(self, context: Context, losses: Losses) -> None:
        self._context = context
        self._losses = losses
        self._blocks: dict[int, Block] = {}
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
            return self._fail(event)
        if isinstance(event, Used):
            self._usage = event.usage
            return b""
        if isinstance(event, Start):
            return self._head(event)
        if event.choice:
            self._losses.add(("choices", event.choice), "one answer is all there can be")
            return b""
        head = self._head(Start())
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
        return b"".join([*out, self._conclude(finished)])

    def _head(self, start: Start) -> bytes:
        begun, self._started = self._started, True
        return b"" if begun else self._start(start)

    @abstractmethod
    def _fail(self, failure: Failure) -> bytes:
        """An error, which ends the stream."""

    @abstractmethod
    def _start(self, start: Start) -> bytes:
        """The beginning of the answer."""

    @abstractmethod
    def _begin(self, start: PartStart) -> bytes:
        """The beginning of a part."""

    @abstractmethod
    def _go_on(self, block: Block, delta: PartDelta) -> bytes:
        """More of one."""

    @abstractmethod
    def _end(self, block: Block) -> bytes:
        """The end of one."""

    @abstractmethod
    def _conclude(self, finished: Finished) -> bytes:
        """The end of the answer, with the tokens where they are known."""
