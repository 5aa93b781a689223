"""Which marked requests the workers have seen (see ``extproc.exchange.attest``): few, and not for long."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MOST: Final = 1024
_FOR: Final = 600.0
"""Seconds for which one is remembered."""
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(slots=True)
class Sighting:
    """How often one was seen, and last by a filter of which mode."""

    mode: str
    times: int
    at: float


class Sightings:
    """What all workers of a processor have seen. The oldest go first when there are too many.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, Sighting] = {}

    def note(self, found: Sequence[Sequence[str]]) -> None:
        """Pairs of hash and mode that a worker reports."""
        for hash_, mode in found:
            before = self._seen.pop(hash_, None)  # to the end: those that are longest ago stand first
            self._seen[hash_] = Sighting(mode, before.times + 1 if before else 1, self._clock())
        self._forget()

    def of(self, hash_: str) -> Sighting | None:
        """What is known of one."""
        self._forget()
        return self._seen.get(hash_) if _HASH.fullmatch(hash_) else None

    def _forget(self) -> None:
        oldest = self._clock() - _FOR
        while self._seen:
            first = next(iter(self._seen))
            if len(self._seen) <= MOST and self._seen[first].at >= oldest:
                return
            del self._seen[first]
