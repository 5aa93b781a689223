"""What is signed in chat messages: thoughts in the lists that compatible servers have for them.

Sources: OpenRouter, "Reasoning Tokens"; LiteLLM, "Reasoning Content"; see ``reasoning``. In a stream, entries of one index
are one thought, and the signature comes last.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final

from extproc.formats.base import Signed
from extproc.framing.jsontext import Path

_LISTS: Final = ("reasoning_details", "thinking_blocks", "content")


def signed(body: Any) -> Iterator[Signed]:
    """The thoughts of a request, an answer or an event."""
    if not isinstance(body, dict):
        return
    for index, message in _objects(body.get("messages")):
        yield from _thoughts(message, ("messages", index), index)
    for index, choice in _objects(body.get("choices")):
        for name in ("message", "delta"):
            yield from _thoughts(choice.get(name), ("choices", index, name), str(choice.get("index", index)))


def _objects(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    yield from (
        (index, each) for index, each in enumerate(value if isinstance(value, list) else ()) if isinstance(each, dict)
    )


def _thoughts(message: Any, path: Path, key: Hashable) -> Iterator[Signed]:
    if not isinstance(message, dict):
        return
    for name in _LISTS:
        for index, each in _objects(message.get(name)):
            if name != "content" or "signature" in each:
                signature = "signature" if each.get("signature") else ""
                yield Signed((*path, name, index), (key, name, str(each.get("index", index))), signature)
