"""Parts, written as content blocks.

Source: Claude API reference, "Messages"; Claude documentation, "Vision", "PDF support", "Tool use".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Reasoning, Text, ToolCall, ToolResult
from extproc.errors import Unrepresentable
from extproc.formats.anthropic.words import MAKER
from extproc.formats.members import arguments
from extproc.framing.jsontext import Path

_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_DATA_URL: Final = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL | re.IGNORECASE)
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_BEGINNINGS: Final = {
    "/9j/": "image/jpeg",
    "iVBOR": "image/png",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
"""How base64 of each type begins."""
_TTLS: Final = frozenset({"5m", "1h"})
_OWN_FILE: Final = "file_"
"""Ids of files that Anthropic has begin so; any other is of a file it cannot read."""


def call_id(id_: str) -> str:
    """The id of a call as Anthropic takes it: the same for the call and its result."""
    if _ID.fullmatch(id_):
        return id_
    digest = hashlib.sha256(id_.encode()).hexdigest()[:16]
    return f"{_NOT_ID.sub('_', id_)[:40]}_{digest}"


def with_cache(block: dict[str, Any], cache: Cache | None, path: Path, losses: Losses) -> dict[str, Any]:
    """A block with the mark that everything up to it is to be remembered."""
    if cache:
        block["cache_control"] = {"type": "ephemeral"}
        if cache.ttl in _TTLS:
            block["cache_control"]["ttl"] = cache.ttl
        elif cache.ttl:
            losses.add((*path, "cache_control", "ttl"), "no such value")
    return block


def text(part: Text, losses: Losses) -> dict[str, Any] | None:
    """A text; None for one without a word, which the API refuses."""
    if not part.text.strip():
        losses.add(part.where, "an empty text")
        return None
    return with_cache({"type": "text", "text": part.text}, part.cache, part.where, losses)


def reasoning(part: Reasoning, losses: Losses) -> dict[str, Any] | None:
    """What Claude thought, signed or sealed by it; None for all other thoughts, which the API refuses."""
    if part.maker != MAKER or not (part.signature or part.sealed):
        losses.add(part.where, "reasoning that is not signed by Claude")
        return None
    if not part.signature:
        if part.text:
            losses.add(part.where, "reasoning that is not signed by Claude")
        return {"type": "redacted_thinking", "data": part.sealed}
    if part.sealed:
        losses.add(part.where, "reasoning that is sealed")
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def call(part: ToolCall, losses: Losses) -> dict[str, Any]:
    """A tool's call in a request.

    Raises:
        Unrepresentable: its arguments are no JSON object.
    """
    if part.custom:
        raise Unrepresentable(part.where, "a call of a tool that takes text")
    given = arguments(part.arguments)
    if given is None:
        raise Unrepresentable(part.where, "arguments that are no JSON object")
    if part.signature:
        losses.add(part.where, "a call's signature")
    block = {"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": given}
    return with_cache(block, part.cache, part.where, losses)


def result(part: ToolResult, losses: Losses) -> dict[str, Any]:
    """What a tool gave.

    Raises:
        Unrepresentable: sound, film, or a file of a type Anthropic does not read.
    """
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id(part.id)}
    content = [media(each, losses) if isinstance(each, Media) else text(each, losses) for each in part.parts]
    said = [each for each in content if each]
    if len(said) == 1 and said[0].keys() == {"type", "text"}:
        block["content"] = said[0]["text"]
    elif said:
        block["content"] = said
    if part.failed:
        block["is_error"] = True
    return with_cache(block, part.cache, part.where, losses)


def media(part: Media, losses: Losses) -> dict[str, Any]:
    """A picture or document.

    Raises:
        Unrepresentable: sound, film, or a file of a type Anthropic does not read.
    """
    found = _DATA_URL.fullmatch(part.url)
    type_, data = (found[1], found[2]) if found else (part.type, part.data)
    kind = type_.partition(";")[0].strip().lower() or _sniffed(data)
    if part.medium in ("audio", "video"):
        raise Unrepresentable(part.where, f"a part of type {part.medium}")
    if part.detail and part.detail != "auto":
        losses.add((*part.where, "detail"), "no such setting")
    image = part.medium == "image" or kind in _IMAGES
    source = _placed(part) or (_image(kind, data, part.where) if image else _file(kind, data, part.where))
    block = {"type": "image" if image else "document", "source": source}
    if part.name and image:
        losses.add((*part.where, "name"), "no such setting")
    elif part.name:
        block["title"] = part.name
    return with_cache(block, part.cache, part.where, losses)


def _placed(part: Media) -> dict[str, Any] | None:
    """The source of what is not in the request, or is plain text."""
    if part.id:
        if not part.id.startswith(_OWN_FILE):
            raise Unrepresentable(part.where, "a file that another provider has")
        return {"type": "file", "file_id": part.id}
    if part.url and not _DATA_URL.fullmatch(part.url):
        if not part.url.lower().startswith(("https://", "http://")):
            raise Unrepresentable(part.where, "a file that another provider has")
        return {"type": "url", "url": part.url}
    if part.text and part.medium == "file":
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    return None


def _image(kind: str, data: str, path: Path) -> dict[str, Any]:
    kind = "image/jpeg" if kind == "image/jpg" else kind
    if kind not in _IMAGES:
        raise Unrepresentable(path, "an image of a type that is not read")
    return {"type": "base64", "media_type": kind, "data": data}


def _file(kind: str, data: str, path: Path) -> dict[str, Any]:
    if kind == "application/pdf":
        return {"type": "base64", "media_type": kind, "data": data}
    if kind.startswith("text/") or kind == "application/json":
        try:
            return {"type": "text", "media_type": "text/plain", "data": base64.b64decode(data, validate=True).decode()}
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise Unrepresentable(path, "a file of text that is not UTF-8") from None
    raise Unrepresentable(path, "a file of a type that is not read")


def _sniffed(data: str) -> str:
    return next((kind for beginning, kind in _BEGINNINGS.items() if data.startswith(beginning)), "")
