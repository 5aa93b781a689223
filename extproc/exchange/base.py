"""What the service wants of an exchange, whichever filter it is for."""

from __future__ import annotations

from abc import ABC, abstractmethod

from extproc import events
from extproc.events import Effect
from extproc.exchange.judging import Found, Question
from extproc.telemetry import Record


class Exchange(ABC):
    """One HTTP exchange as one filter sees it: events in, effects out. These are the ways of one that never waits."""

    reads_headers = True
    answered = False
    """Whether the last message that matters has been answered; if not, only an error may end the gRPC stream."""

    @abstractmethod
    def receive(self, event: events.Event) -> list[Effect]:
        """Take one event; returns what Envoy is to be told.

        Raises:
            ProtocolError: Envoy broke the order.
        """

    @property
    def held(self) -> int:
        """Bytes held back or collected."""
        return 0

    @property
    def due(self) -> float | None:
        """When ``tick`` is to be called, on the exchange's clock; None for never."""
        return None

    def tick(self) -> list[Effect]:
        """Time has passed with nothing new."""
        return []

    def overloaded(self) -> list[Effect]:
        """There is no room to take more: what to say instead of waiting for it; nothing where it is too late for that."""
        return []

    def questions(self) -> list[Question]:
        """Questions that nobody has carried to their services yet."""
        return []

    def told(self, question: Question, found: Found) -> None:  # noqa: B027  (one that asks nobody is told nothing)
        """A service has answered; ``tick`` acts on it. May be called from any thread, at any time."""

    def finish(self) -> Record | None:
        """The exchange is over, however it ended; returns its record for the log, if it has one."""
        return None

    def add_late(self) -> None:  # noqa: B027
        """Services that only watch have answered since ``finish``: that is in the record, too."""
