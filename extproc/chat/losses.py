"""What conversion loses, and what cannot be converted at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from extproc.framing.jsontext import Path

_MOST = 50
"""Losses told of one exchange; all are counted."""


CITED: Final = "what a text cites"
LOGPROBS: Final = "log probabilities"
GROUNDED: Final = "what an answer is grounded in"
WATCHED: Final = "what a guardrail says"
"""Why an answer in another format has less than the provider's."""

_FIELD: Final = re.compile(r"[A-Za-z_]{1,40}|b64_json")
"""What names of fields look like. Paths go to logs, and a client can give a member any name, a key or a prompt."""


def spell(path: Path) -> str:
    """A path as people write it: ``messages[2].content[0].cache_control``; ``*`` for what does not look like a field."""
    text = ""
    for each in path:
        step = each if isinstance(each, int) or _FIELD.fullmatch(each) else "*"
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass(slots=True)
class Losses:
    """Collects what is left out: the path in the document it was read from, and why (a few fixed words, never content)."""

    found: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0

    def add_members(self, holder: Any, reasons: Mapping[str, str], path: Path) -> None:
        """Note the members of an object that are left out: ``reasons`` by name, for those that say something."""
        for name, reason in reasons.items():
            if isinstance(holder, dict) and holder.get(name):
                self.add((*path, name), reason)

    def add(self, path: Path, reason: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.found) < _MOST and (loss := (spell(path), reason)) not in self.found:
            self.found.append(loss)
