"""Where the texts are in messages: requests, whole answers, and the blocks both are made of.

Source: Claude API reference, "Messages". What a tool is given is anybody's JSON: no name in it is known to be structure.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final

from extproc.formats import files
from extproc.formats.base import Signed, Span
from extproc.formats.walk import Sourced, Walk
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

SKIP: Final = frozenset({
    "id", "type", "role", "model", "stop_reason", "tool_use_id", "tool_id", "media_type", "ttl", "service_tier", "file_id",
    "effort", "display", "inference_geo", "speed", "error_code", "category", "recommended_model", "expires_at",
    "retrieved_at", "container", "anthropic_version", "request_id",
})  # fmt: skip
BLOBS: Final = frozenset({"data", "signature", "encrypted_content", "encrypted_index", "encrypted_stdout", "url"})
FREE: Final = frozenset({"input", "input_examples"})
"""Members that hold JSON of tools."""

TEXTS: Final[Walk] = Sourced(SKIP, BLOBS)
ANYTHING: Final = Walk(frozenset(), frozenset())

_ROLES: Final = {"system": Scope.SYSTEM, "user": Scope.USER, "assistant": Scope.ASSISTANT}
_OPERATOR: Final = frozenset({"system", "tools", "output_config", "output_format"})
_UNSCANNED: Final = {
    "image": "image",
    "document": "file",
    "container_upload": "file",
    "audio": "audio",
    "video": "video",
}
RUNS: Final = {"text": "text", "thinking": "thinking"}
"""Blocks whose texts go on in their neighbours of the same type, and the member each is in."""
_READABLE: Final = frozenset({"text", "content"})
"""Sources of documents that bring words."""


def scope_of(kind: Any, scope: Scope) -> Scope:
    """Whose words a block of this type is; ``scope`` is its message's."""
    if not isinstance(kind, str):
        return scope
    if kind in ("thinking", "redacted_thinking"):
        return Scope.REASONING
    if kind.endswith("tool_use"):
        return Scope.TOOL_INPUT
    return Scope.TOOL_OUTPUT if kind.endswith("tool_result") else scope


def block(value: Any, path: Path, scope: Scope, found: list[Span]) -> None:
    """Add every text of a content block."""
    if not isinstance(value, dict):
        TEXTS.value(value, path, scope, found)
        return
    scope = scope_of(value.get("type"), scope)
    TEXTS.names(value, path, scope, found)
    for key, child in value.items():
        if child:
            (ANYTHING if key in FREE else TEXTS).member(key, child, path, scope, found)


def blocks(value: Any, path: Path, scope: Scope, found: list[Span]) -> None:
    """Add every text of a message's content."""
    if not isinstance(value, list):
        TEXTS.value(value, path, scope, found)
        return
    run: tuple[Any, int] = (None, 0)
    for index, child in enumerate(value):
        first = len(found)
        block(child, (*path, index), scope, found)
        kind = child.get("type") if isinstance(child, dict) else None
        run = (kind, index) if kind != run[0] else run
        name = RUNS.get(kind) if isinstance(kind, str) else None
        for span in found[first:] if name else ():
            if span.path == (*path, index, name) and not span.fixed:
                span.track = (path, *run)


def _message(message: Any, path: Path, found: list[Span]) -> None:
    if not isinstance(message, dict):
        TEXTS.value(message, path, Scope.USER, found)
        return
    role = message.get("role")
    scope = _ROLES.get(role, Scope.USER) if isinstance(role, str) else Scope.USER
    TEXTS.names(message, path, scope, found)
    for key, value in message.items():
        if key == "content":
            blocks(value, (*path, key), scope, found)
        elif value:
            TEXTS.member(key, value, path, scope, found)


def of_request(body: dict[str, Any]) -> list[Span]:
    """Every text of a request."""
    found: list[Span] = []
    TEXTS.names(body, (), Scope.USER, found)
    for key, value in body.items():
        if not value:
            continue
        if key == "messages" and isinstance(value, list):
            for index, message in enumerate(value):
                _message(message, (key, index), found)
        elif key == "tools":
            blocks(value, (key,), Scope.SYSTEM, found)
        else:
            TEXTS.member(key, value, (), Scope.SYSTEM if key in _OPERATOR else Scope.USER, found)
    return files.read(body, found)


def of_answer(body: Any) -> list[Span]:
    """Every text of a whole answer or error."""
    found: list[Span] = []
    if not isinstance(body, dict):
        TEXTS.value(body, (), Scope.ASSISTANT, found)
        return found
    TEXTS.names(body, (), Scope.ASSISTANT, found)
    for key, value in body.items():
        if key == "content":
            blocks(value, (key,), Scope.ASSISTANT, found)
        elif value:
            TEXTS.member(key, value, (), Scope.ASSISTANT, found)
    return found


def signed(body: Any) -> Iterator[Signed]:
    """The thoughts of a request, an answer or an event; those of a stream belong to their block."""
    if not isinstance(body, dict):
        return
    messages = body.get("messages")
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        yield from _thoughts(message, ("messages", index), index)
    yield from _thoughts(body, (), "")
    yield from _thoughts(body.get("message"), ("message",), "")
    for name in ("content_block", "delta"):
        if isinstance(value := body.get(name), dict) and not {"thinking", "signature"}.isdisjoint(value):
            yield _thought(value, (name,), str(body.get("index")))


def _thoughts(message: Any, path: Path, key: Hashable) -> Iterator[Signed]:
    content = message.get("content") if isinstance(message, dict) else None
    for index, each in enumerate(content if isinstance(content, list) else ()):
        if isinstance(each, dict) and each.get("type") == "thinking":
            yield _thought(each, (*path, "content", index), (key, index))


def _thought(value: dict[str, Any], path: Path, key: Hashable) -> Signed:
    return Signed(path, key, "signature" if value.get("signature") else "")


def unscanned(body: dict[str, Any]) -> list[str]:
    """Kinds of content that no text rule can read, in messages, in what tools gave, and in documents made of blocks."""
    messages = body.get("messages")
    stack = [each.get("content") for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    found: dict[str, None] = {}
    read = files.readable(body)
    while stack:
        value = stack.pop()
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                continue
            source = part.get("source")
            kind = part.get("type")
            type_ = source.get("type") if isinstance(source, dict) else None
            readable = isinstance(type_, str) and type_ in _READABLE
            if isinstance(kind, str) and kind in _UNSCANNED and not (readable or id(part) in read):
                found[_UNSCANNED[kind]] = None
            stack += [part.get("content"), source.get("content") if isinstance(source, dict) else None]
    return list(found)
