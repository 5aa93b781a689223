"""What a conversation needs of a model, in the words of ``providers.models``; asked only where some model lacks something."""

from __future__ import annotations

from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Media, ToolResult
from extproc.chat.request import Request, Thinking
from extproc.errors import DecodeError, LimitExceeded, Refused, Unrepresentable
from extproc.formats.base import Format
from extproc.policy.fields import members
from extproc.policy.parts import media, tools

WISHES: Final = frozenset({"reasoning"})
"""Needs that are only wishes: where no model can meet them, any will do, which the format or the provider sees to."""


_HINTS: Final = {
    "image": (b"image",),
    "audio": (b"audio",),
    "video": (b"video",),
    "file": (b"file", b"document", b"pdf"),
    "tools": (b"tool", b"function"),
    "reasoning": (b"reason", b"think", b"effort"),
}
"""Some part of this stands in every request that has such a need, whatever its format, but for odd spellings of JSON."""


def hinted(raw: bytes) -> frozenset[str]:
    """What a request may need: found fast, so that most requests need not be read for it."""
    text = raw.lower()
    return frozenset([name for name, words in _HINTS.items() if any(word in text for word in words)])


def needs(format_: Format, model: str, value: dict[str, Any]) -> frozenset[str]:
    """All of them.

    Raises:
        Refused: there is more to look at than anybody needs.
    """
    codec = format_.codec
    try:
        if codec:
            return frozenset(_needs(codec.decode_request(value, Losses(), model=model, stream=False)))
    except (DecodeError, Unrepresentable):
        pass  # it can still go to whoever speaks this format
    try:
        return frozenset(_named(value))
    except LimitExceeded as error:
        raise Refused(413, "too_many_values", f"The request cannot be judged: {error}.") from None


def _named(value: dict[str, Any]) -> set[str]:
    """What a body needs by the names in it, whatever its format."""
    settings = members(value)
    found: set[str] = {each.medium for each in media(value)}
    if next(tools(settings), None) is not None:
        found.add("tools")
    for member in settings:
        if member.name in _MODALITIES and isinstance(member.value, list):
            found |= {"audio"} & {str(each).lower() for each in member.value}
    return found


_MODALITIES: Final = frozenset({"modalities", "responsemodalities"})


def _needs(request: Request) -> set[str]:
    found: set[str] = {"audio"} & {each.lower() for each in request.settings.modalities}
    for message in request.messages:
        for part in message.parts:
            parts = part.parts if isinstance(part, ToolResult) else (part,)
            found |= {each.medium for each in parts if isinstance(each, Media) and not each.text}
    if request.tools:
        found.add("tools")
    if request.thinking and _thinks(request.thinking):
        found.add("reasoning")
    return found


def _thinks(thinking: Thinking) -> bool:
    return thinking.effort not in ("", "none") or thinking.budget not in (None, 0)
