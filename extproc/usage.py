"""Token usage of one exchange: what the provider said last wins, whole or in the middle of a stream."""

from __future__ import annotations

from extproc.chat.answer import Usage
from extproc.formats.base import Format


class Meter:
    """Collects usage from events as they pass."""

    __slots__ = ("_format", "usage")

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self.usage: Usage | None = None

    def see(self, value: object) -> None:
        """Look at a parsed answer or event."""
        found = self._format.usage(value)
        if found is not None:
            self.usage = found

    def tokens(self) -> dict[str, int] | None:
        """``{"input", "output", "cached", "reasoning"}``, or None where the provider gave none."""
        found = self.usage
        if found is None:
            return None
        return {"input": found.input, "output": found.output, "cached": found.cached, "reasoning": found.reasoning}
