"""A circuit breaker: a service that fails again and again is left alone for a while, and then tried by one call."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """One service's. Not for several threads.

    Args:
        failures: in a row, after which it opens.
        rest: seconds for which it then stays open.
        clock: seconds that only go forward.
    """

    __slots__ = ("_clock", "_failures", "_most", "_rest", "_trying", "_until")

    def __init__(self, failures: int = 5, rest: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._rest = rest
        self._clock = clock
        self._failures = 0
        self._until: float | None = None
        self._trying = False

    def admits(self) -> bool:
        """Whether a call may be made. Every call that was admitted must be told of by one of the other methods."""
        if self._until is None:
            return True
        if self._trying or self._clock() < self._until:
            return False
        self._trying = True
        return True

    def answered(self) -> None:
        """A call was answered."""
        self._failures = 0
        self._until = None
        self._trying = False

    def failed(self) -> None:
        """A call failed, and the service is to blame."""
        self._failures += 1
        if self._trying or self._failures >= self._most:
            self._until = self._clock() + self._rest
        self._trying = False

    def abandoned(self) -> None:
        """A call was given up before anything was known."""
        self._trying = False
