"""Token usage of one exchange: what the provider has said, whole or bit by bit as a stream goes on."""

from __future__ import annotations

from dataclasses import astuple

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
            self.usage = found if self.usage is None else _most(self.usage, found)

    def tokens(self) -> dict[str, int] | None:
        """``{"input", "output", "cached", "reasoning", "cache_write"}``, or None where the provider gave none."""
        found = self.usage
        if found is None:
            return None
        return {
            "input": found.input,
            "output": found.output,
            "cached": found.cached,
            "reasoning": found.reasoning,
            "cache_write": found.cache_write,
        }


def _most(one: Usage, other: Usage) -> Usage:
    """Of each kind the larger count: counts in a stream only grow, and an event may tell of some kinds alone."""
    return Usage(*[max(pair) for pair in zip(astuple(one), astuple(other), strict=True)])
