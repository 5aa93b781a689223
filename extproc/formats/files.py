"""Files of plain text that come encoded in a request: their words are texts like all others.

A file is base64, with the head of a data URL or without. What is text by its type, or else by its name, and is UTF-8, is read
and can be redacted; any other file is told as what no text rule can read (``Format.unscanned``).

Source: OpenAI API reference, "Chat Completions" and "Responses" (``file_data``); Gemini API reference, "Blob"; Amazon Bedrock
API reference, ``DocumentBlock``; Claude API reference, "Messages" (documents).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from mimetypes import guess_type
from typing import Any, Final

from extproc.formats.base import Span
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

_HEAD: Final = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,", re.ASCII | re.IGNORECASE)
_KINDS: Final = re.compile(
    r"text/.+|application/(?:[\w.-]+\+)?(?:json|jsonl|x-ndjson|xml|yaml|x-yaml|toml|sql|javascript|x-sh)", re.ASCII
)
"""Types of what is read as it stands; all that converters write as text must be among them."""
_FORMATS: Final = {"txt": "text/plain", "md": "text/markdown", "csv": "text/csv", "html": "text/html"}
"""Bedrock's words for types."""
_ROLES: Final = {
    "system": Scope.SYSTEM,
    "developer": Scope.SYSTEM,
    "assistant": Scope.ASSISTANT,
    "model": Scope.ASSISTANT,
    "tool": Scope.TOOL_OUTPUT,
    "function": Scope.TOOL_OUTPUT,
}
_TURNS: Final = ("messages", "input", "contents")
_PARTS: Final = frozenset({"content", "output", "parts"})
_RESULTS: Final = ("toolResult", "functionResponse", "function_response")


@dataclass(frozen=True, slots=True)
class File:
    """A file in a request: the part that holds it, where its data stands, its type and name if they are told, whose it is."""

    part: dict[str, Any]
    path: Path
    data: str
    kind: str
    name: str
    scope: Scope

    def opened(self) -> Span | None:
        """Its words; None where it has none that can be read."""
        head = _HEAD.match(self.data)
        start = head.end() if head else 0
        kind = (head[1] if head else "") or self.kind or guess_type(self.name)[0] or ""
        if not _KINDS.fullmatch(kind.partition(";")[0].strip().lower()):
            return None
        try:
            text = b64decode(self.data[start:], validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        front = self.data[:start]
        return Span(self.path, self.scope, text, written=lambda new: front + b64encode(new.encode()).decode())


def files(body: Any) -> Iterator[File]:
    """The files that stand encoded in the turns of a request."""
    for name in _TURNS if isinstance(body, dict) else ():
        for path, turn in _objects(body.get(name), (name,)):
            role = turn.get("role")
            scope = _ROLES.get(role, Scope.USER) if isinstance(role, str) else Scope.USER
            if str(turn.get("type")).endswith("_output"):
                scope = Scope.TOOL_OUTPUT
            yield from _among(turn, path, scope)


def read(body: Any, found: list[Span]) -> list[Span]:
    """These texts of a request, and those of its files in the place of their data."""
    spans = {span.path: span for file in files(body) if (span := file.opened())}
    return [*(span for span in found if span.path not in spans), *spans.values()] if spans else found


def readable(body: Any) -> set[int]:
    """The ids of those parts of a request, as Python has them, that hold a file that is read."""
    return {id(file.part) for file in files(body) if file.opened()}


def _objects(value: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The objects of a list; one that stands where a list could."""
    if isinstance(value, dict):
        yield path, value
    for at, each in enumerate(value if isinstance(value, list) else ()):
        if isinstance(each, dict):
            yield (*path, at), each


def _among(holder: dict[str, Any], path: Path, scope: Scope) -> Iterator[File]:
    """The files in the parts of a turn, or of what a tool gave."""
    for name in _PARTS:
        for here, part in _objects(holder.get(name), (*path, name)):
            yield from _file(part, here, scope)
            for result in _RESULTS:
                if isinstance(inner := part.get(result), dict):
                    yield from _among(inner, (*here, result), Scope.TOOL_OUTPUT)
            if not _PARTS.isdisjoint(part):
                yield from _among(part, here, Scope.TOOL_OUTPUT)


def _file(part: dict[str, Any], path: Path, scope: Scope) -> Iterator[File]:
    """The file that a part holds in one of the ways known."""
    for holder, way in ((part, ()), (part.get("file"), ("file",))):
        if isinstance(holder, dict) and isinstance(data := holder.get("file_data"), str):
            yield File(part, (*path, *way, "file_data"), data, "", str(holder.get("filename") or ""), scope)
    for name in ("inlineData", "inline_data"):
        held = part.get(name)
        if isinstance(held, dict) and isinstance(data := held.get("data"), str):
            kind = held.get("mimeType") or held.get("mime_type")
            yield File(part, (*path, name, "data"), data, str(kind or ""), "", scope)
    if isinstance(document := part.get("document"), dict):
        source = document.get("source")
        if isinstance(source, dict) and isinstance(data := source.get("bytes"), str):
            kind = _FORMATS.get(str(document.get("format")), "")
            yield File(part, (*path, "document", "source", "bytes"), data, kind, "", scope)
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "base64" and isinstance(data := source.get("data"), str):
        yield File(part, (*path, "source", "data"), data, str(source.get("media_type") or ""), "", scope)
