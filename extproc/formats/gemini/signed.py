"""What Gemini has signed of a request, a whole answer or an event.

Source: Gemini API guides, "Thought signatures". A signature is of what was thought up to its part; it may come late, with an
empty text. A call keeps its own whatever becomes of it: without one the next request would be refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from extproc.formats.base import Signed
from extproc.formats.gemini.names import either, spelling
from extproc.framing.jsontext import Path


def listed(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The elements of a list; anything else by itself."""
    if isinstance(value, list):
        yield from (((*path, index), each) for index, each in enumerate(value))
    else:
        yield path, value


def signed(body: Any) -> Iterator[Signed]:
    """Thoughts, and texts by themselves: those of one candidate or turn belong together."""
    for at, each in listed(body, ()):
        if not isinstance(each, dict):
            continue
        for path, turn in listed(each.get("contents"), (*at, "contents")):
            yield from _parts(turn, path, path)
        for path, candidate in listed(each.get("candidates"), (*at, "candidates")):
            number = candidate.get("index") if isinstance(candidate, dict) else None
            yield from _parts(either(candidate, "content"), (*path, "content"), str(number or 0))


def _parts(content: Any, path: Path, key: Hashable) -> Iterator[Signed]:
    for at, part in listed(either(content, "parts"), (*path, "parts")):
        if isinstance(part, dict) and either(part, "functionCall") is None:
            name = spelling(part, "thoughtSignature")
            yield Signed(at, (key, bool(part.get("thought"))), name if part.get(name) else "")
