"""What waits in a guarded stream: events, their texts, and the order they leave in."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

from extproc.formats.base import Delta, Piece
from extproc.framing.base import Event


class Part:
    """One text of a waiting event: how much of it is undecided and what it has become so far."""

    __slots__ = ("at", "dirty", "frame", "left", "out", "piece")

    def __init__(self, frame: Frame, piece: Piece) -> None:
        self.frame = frame
        self.piece = piece
        self.at = 0  # characters decided
        self.left = len(piece.text)
        self.out: list[str] = []
        self.dirty = False

    def take(self, count: int, text: str | None) -> None:
        """Decide the next ``count`` characters: kept where ``text`` is None, else replaced by it."""
        at = self.at
        self.at = end = at + count
        self.left -= count
        if text is None:
            self.out.append(self.piece.text[at:end])
        else:
            self.out.append(text)
            self.dirty = True
        if not self.left:
            self.frame.waiting -= 1


class Frame:
    """An event that waits for its texts or its turn."""

    __slots__ = ("after", "event", "final", "parts", "telling", "value", "waiting")

    def __init__(self, event: Event, value: Any, delta: Delta) -> None:
        self.event = event
        self.value = value
        self.parts = [Part(self, piece) for piece in delta.pieces]
        self.waiting = len(self.parts)  # those that are not decided
        self.after = delta.after
        self.telling = delta.telling
        self.final = delta.final


class Epoch:
    """Events between two barriers, by lane, and the barrier that ends them."""

    __slots__ = ("barrier", "count", "lanes")

    def __init__(self) -> None:
        self.lanes: dict[Hashable, deque[Frame]] = {}
        self.count = 0
        self.barrier: Frame | None = None
