"""What differs between Claude's models, told from their names: how they think, and whether they can be sampled.

Source: Claude documentation, "Adaptive thinking", "Effort" and "Migrating to Claude Opus 4.7"; Amazon Bedrock user guide,
"Adaptive thinking".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_ALWAYS: Final = re.compile(r"fable|mythos")
"""Families that cannot stop thinking."""
_NEWEST: Final = (99, 0)


@dataclass(frozen=True, slots=True)
class Claude:
    """What a model takes.

    Args:
        adaptive: it decides by itself how much to think, guided by an effort; others take a budget of tokens.
        sampled: it takes temperature, top_p and top_k.
        xhigh: it knows the effort of that name.
        stops: it can be told not to think; False where it must not be said, because it never or always does.
    """

    adaptive: bool
    sampled: bool
    xhigh: bool
    stops: bool


def claude(model: str) -> Claude:
    """What the model of this name takes; one that has no version in its name counts as new."""
    found = _VERSION.search(model)
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    return Claude(
        adaptive=version >= (4, 6),
        sampled=found is None or version < (4, 7),
        xhigh=version >= (4, 7),
        stops=((3, 7) <= version < (4, 7) or version >= (5, 0)) and not _ALWAYS.search(model),
    )
