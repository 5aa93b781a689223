"""Content blocks of messages, read into parts.

Source: Claude API reference, "Messages". Blocks the canonical form has no part for (a server's tools and their results,
search results, uploads to a container) become ``Native`` as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from extproc.chat.losses import CITED, Losses
from extproc.chat.parts import Cache, Media, Native, Part, Reasoning, Text, ToolCall, ToolResult
from extproc.errors import DecodeError
from extproc.formats.anthropic.words import MAKER, NAME
from extproc.formats.members import member, needed
from extproc.framing.jsontext import Path, dump


def read_cache(value: dict[str, Any]) -> Cache | None:
    """The mark that a provider is asked to remember everything up to here."""
    control = member(value, "cache_control", dict)
    return None if control is None else Cache(member(control, "ttl", str, ""))


def read_content(content: Any, path: Path, losses: Losses) -> list[Part]:
    """What a message or a tool's result consists of: a text, or blocks.

    Raises:
        DecodeError: it is neither.
    """
    if isinstance(content, str):
        return [Text(content, where=path)]
    if not isinstance(content, list):
        raise DecodeError("content is neither a text nor a list of blocks")
    return [part for index, each in enumerate(content) for part in read_block(each, (*path, index), losses)]


def read_block(value: Any, path: Path, losses: Losses) -> list[Part]:
    """The parts a block comes to: nearly always one.

    Raises:
        DecodeError: it is no block.
    """
    if not isinstance(value, dict):
        raise DecodeError("a block is no object")
    reader = _READERS.get(needed(value, "type", str))
    known = reader(value, path, losses) if reader else None
    return [Native(NAME, value, path)] if known is None else known


def _unsaid(value: dict[str, Any], names: tuple[str, ...], path: Path, losses: Losses) -> None:
    """Losses of members that have no place in the canonical form."""
    for name in names:
        if value.get(name):
            losses.add((*path, name), "unknown field")


def _read_text(value: dict[str, Any], path: Path, losses: Losses) -> list[Part]:
    losses.add_members(value, {"citations": CITED}, path)
    return [Text(needed(value, "text", str), read_cache(value), path)]


def _read_thinking(value: dict[str, Any], path: Path, losses: Losses) -> list[Part]:
    signature = member(value, "signature", str, "")
    return [Reasoning(needed(value, "thinking", str), signature, maker=MAKER, where=path)]


def _read_sealed(value: dict[str, Any], path: Path, losses: Losses) -> list[Part]:
    return [Reasoning("", sealed=needed(value, "data", str), maker=MAKER, where=path)]


def _read_image(value: dict[str, Any], path: Path, losses: Losses) -> list[Part] | None:
    media = _sourced(Media("image", cache=read_cache(value), where=path), needed(value, "source", dict))
    if media:
        _unsaid(value, ("transformations",), path, losses)
    return [media] if media else None


def _read_document(value: dict[str, Any], path: Path, losses: Losses) -> list[Part] | None:
    empty = Media("file", name=member(value, "title", str, ""), cache=read_cache(value), where=path)
    media = _sourced(empty, needed(value, "source", dict))
    if media is None:
        return None
    if value.get("citations") not in (None, {"enabled": False}):
        losses.add((*path, "citations"), "unknown field")
    context = member(value, "context", str, "")
    return [Text(context, where=(*path, "context")), media] if context else [media]


def _sourced(media: Media, source: dict[str, Any]) -> Media | None:
    """A picture or file with what its source says; None where that is of no known kind."""
    kind = needed(source, "type", str)
    if kind == "base64":
        media.data, media.type = needed(source, "data", str), needed(source, "media_type", str)
    elif kind == "url":
        media.url = needed(source, "url", str)
    elif kind == "file":
        media.id = needed(source, "file_id", str)
    elif kind == "text" and media.medium == "file":
        media.text, media.type = needed(source, "data", str), member(source, "media_type", str, "text/plain")
    elif kind == "content" and isinstance(source.get("content"), str):
        media.text, media.type = source["content"], "text/plain"
    else:
        return None
    return media


def _read_call(value: dict[str, Any], path: Path, losses: Losses) -> list[Part] | None:
    if value.get("toolset_name"):
        return None  # a tool of the provider's own set
    if value.get("caller") not in (None, {"type": "direct"}):
        losses.add((*path, "caller"), "unknown field")
    given = dump(needed(value, "input", dict)).decode()
    return [ToolCall(needed(value, "id", str), needed(value, "name", str), given, cache=read_cache(value), where=path)]


def _read_result(value: dict[str, Any], path: Path, losses: Losses) -> list[Part] | None:
    content = value.get("content")
    parts = [] if content is None else read_content(content, (*path, "content"), losses)
    said = [part for part in parts if isinstance(part, Text | Media)]
    if value.get("toolset_name") or len(said) < len(parts):
        return None  # it has what only this API knows, references to tools for one
    failed = member(value, "is_error", bool, False)
    return [ToolResult(needed(value, "tool_use_id", str), said, failed=failed, cache=read_cache(value), where=path)]


_READERS: Final[dict[str, Callable[[dict[str, Any], Path, Losses], list[Part] | None]]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": _read_sealed,
    "image": _read_image,
    "document": _read_document,
    "tool_use": _read_call,
    "tool_result": _read_result,
}
