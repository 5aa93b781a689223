"""A budget of bytes that all exchanges of one worker share."""

from __future__ import annotations

import threading


class Budget:
    """How many bytes are held, and how many may be."""

    __slots__ = ("_lock", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether nothing more should be begun."""
        return self.used > self.limit

    def change(self, by: int) -> bool:
        """Take (or with a negative number give back) bytes; returns whether the budget still holds."""
        with self._lock:  # large texts are inspected in a thread
            self.used += by
            return self.used <= self.limit
