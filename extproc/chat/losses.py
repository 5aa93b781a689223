"""What conversion loses, and what cannot be converted at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from extproc.framing.jsontext import Path

_MOST = 50
"""Losses told of one exchange; all are counted."""


def spell(path: Path) -> str:
    """A path as people write it: ``messages[2].content[0].cache_control``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass(slots=True)
class Losses:
    """Collects what is left out: the path in the document it was read from, and why (a few fixed words, never content)."""

    found: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0

    def add(self, path: Path, reason: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.found) < _MOST and (loss := (spell(path), reason)) not in self.found:
            self.found.append(loss)
