"""Where the texts are in the messages of Converse. What a document field holds (a tool's input, its result) is all text.

Source: Amazon Bedrock API reference, ``ContentBlock`` and what it is made of.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set
from typing import Any, Final

from extproc.formats.base import Signed, Span
from extproc.formats.walk import Walk
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

_SKIP: Final = frozenset({
    "role", "format", "toolUseId", "type", "status", "stopReason", "p", "ttl", "latency", "effort", "trace",
    "guardrailIdentifier", "guardrailVersion", "streamProcessingMode", "qualifiers", "bucketOwner",
})  # fmt: skip
_BLOBS: Final = frozenset({"bytes", "redactedContent", "signature"})

TEXTS: Final = Walk(_SKIP, _BLOBS)
"""Structure of the API, where names mean what the API says."""
VALUES: Final = Walk(frozenset(), frozenset())
"""Values of the caller's or the model's own, where any name can hold anything."""

_ROLES: Final = {"user": Scope.USER, "assistant": Scope.ASSISTANT, "system": Scope.SYSTEM}
_UNSCANNED: Final = {"image": "image", "document": "file", "video": "video", "audio": "audio"}


def request(body: dict[str, Any], path: Path, found: list[Span]) -> None:
    """Add every text of a Converse request that stands at ``path``."""
    TEXTS.names(body, path, Scope.USER, found)
    for key, value in body.items():
        here = (*path, key)
        if key == "messages" and isinstance(value, list):
            for index, each in enumerate(value):
                _message(each, (*here, index), found)
        elif key == "toolConfig" and isinstance(value, dict):
            _tools(value, here, found)
        elif key == "outputConfig":
            _output(value, here, found)
        elif key in ("additionalModelRequestFields", "requestMetadata", "promptVariables"):
            VALUES.member(key, value, path, Scope.USER, found)
        elif value:
            TEXTS.member(key, value, path, Scope.SYSTEM if key == "system" else Scope.USER, found)


def _message(message: Any, path: Path, found: list[Span]) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    scope = _ROLES.get(role, Scope.USER) if isinstance(role, str) else Scope.USER
    told(message, path, scope, found)


def told(message: Any, path: Path, scope: Scope, found: list[Span]) -> None:
    """Add every text of a message."""
    if not isinstance(message, dict):
        TEXTS.value(message, path, scope, found)
        return
    TEXTS.names(message, path, scope, found)
    for key, value in message.items():
        if key == "content" and isinstance(value, list):
            _blocks(value, (*path, key), scope, found)
        elif value:
            TEXTS.member(key, value, path, scope, found)


_RUNS: Final = {
    "text": ("text",),
    "citationsContent": ("citationsContent", "content", "text"),
    "reasoningContent": ("reasoningContent", "reasoningText", "text"),
}
"""Blocks whose texts go on in their neighbours, and the names on the way to each."""


def _blocks(content: list[Any], path: Path, scope: Scope, found: list[Span]) -> None:
    """Add every text of the blocks of a message; what follows one another as text, or as thoughts, is one track."""
    run = (False, 0)  # whether thoughts, and where they begin
    for index, block in enumerate(content):
        first = len(found)
        _block(block, (*path, index), scope, found)
        kind = next((name for name in _RUNS if name in block), None) if isinstance(block, dict) else None
        thinks = kind == "reasoningContent"
        if kind is None:
            run = (False, index + 1)
            continue
        run = run if run[0] is thinks else (thinks, index)
        for span in found[first:]:
            names = tuple(step for step in span.path[len(path) + 1 :] if isinstance(step, str))
            if names == _RUNS[kind] and not span.fixed:
                span.track = (path, *run)


def _block(block: Any, path: Path, scope: Scope, found: list[Span]) -> None:
    if not isinstance(block, dict):
        TEXTS.value(block, path, scope, found)
        return
    TEXTS.names(block, path, scope, found)
    for key, value in block.items():
        if key == "toolUse" and isinstance(value, dict):
            _but(value, (*path, key), "input", Scope.TOOL_INPUT, found)
        elif key == "toolResult" and isinstance(value, dict):
            _result(value, (*path, key), found)
        elif value:
            TEXTS.member(key, value, path, Scope.REASONING if key == "reasoningContent" else scope, found)


def _but(holder: dict[str, Any], path: Path, document: str, scope: Scope, found: list[Span]) -> None:
    """All texts of an object one member of which is a document."""
    TEXTS.names(holder, path, scope, found)
    for key, value in holder.items():
        (VALUES if key == document else TEXTS).member(key, value, path, scope, found)


def _result(result: dict[str, Any], path: Path, found: list[Span]) -> None:
    TEXTS.names(result, path, Scope.TOOL_OUTPUT, found)
    for key, value in result.items():
        if key == "content" and isinstance(value, list):
            results(value, (*path, key), found)
        else:
            TEXTS.member(key, value, path, Scope.TOOL_OUTPUT, found)


def results(content: list[Any], path: Path, found: list[Span]) -> None:
    """Add every text of what a tool gave."""
    for index, each in enumerate(content):
        if isinstance(each, dict):
            _but(each, (*path, index), "json", Scope.TOOL_OUTPUT, found)
        else:
            TEXTS.value(each, (*path, index), Scope.TOOL_OUTPUT, found)


def _tools(config: dict[str, Any], path: Path, found: list[Span]) -> None:
    """Tools; their schemas are documents."""
    TEXTS.names(config, path, Scope.SYSTEM, found)
    for key, value in config.items():
        if key != "tools" or not isinstance(value, list):
            TEXTS.member(key, value, path, Scope.SYSTEM, found)
            continue
        for index, tool in enumerate(value):
            here = (*path, key, index)
            spec = tool.get("toolSpec") if isinstance(tool, dict) else None
            if not isinstance(spec, dict):
                TEXTS.value(tool, here, Scope.SYSTEM, found)
                continue
            TEXTS.members(tool, here, Scope.SYSTEM, found, but="toolSpec")
            _but(spec, (*here, "toolSpec"), "inputSchema", Scope.SYSTEM, found)


def _output(config: Any, path: Path, found: list[Span]) -> None:
    """The shape of the answer; its schema is a text that is JSON."""
    inside: list[Span] = []
    TEXTS.value(config, path, Scope.SYSTEM, inside)
    for span in inside:
        span.json = span.path[-2:] == ("jsonSchema", "schema") and not span.fixed
    found += inside


def signed(body: Any) -> Iterator[Signed]:
    """The thoughts of a request, an answer or an event; those of a stream belong to their block."""
    if not isinstance(body, dict):
        return
    messages = body.get("messages")
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        yield from _thoughts(message, ("messages", index), index)
    output = body.get("output")
    yield from _thoughts(output.get("message") if isinstance(output, dict) else None, ("output", "message"), "")
    if isinstance(value := body.get("contentBlockDelta"), dict):
        delta = value.get("delta")
        thought = delta.get("reasoningContent") if isinstance(delta, dict) else None
        if isinstance(thought, dict):
            here = ("contentBlockDelta", "delta", "reasoningContent")
            yield _thought(thought, here, str(value.get("contentBlockIndex")))


def _thoughts(message: Any, path: Path, key: Hashable) -> Iterator[Signed]:
    content = message.get("content") if isinstance(message, dict) else None
    for index, block in enumerate(content if isinstance(content, list) else ()):
        thought = block.get("reasoningContent") if isinstance(block, dict) else None
        said = thought.get("reasoningText") if isinstance(thought, dict) else None
        if isinstance(said, dict):
            yield _thought(said, (*path, "content", index, "reasoningContent", "reasoningText"), (key, index))


def _thought(value: dict[str, Any], path: Path, key: Hashable) -> Signed:
    return Signed(path, key, "signature" if value.get("signature") else "")


def unscanned(messages: Any, read: Set[int]) -> list[str]:
    """Kinds of content of messages that are not text; ``read`` are the blocks whose files are."""
    found: dict[str, None] = {}
    stack = [messages]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            for key in value:
                if (kind := _UNSCANNED.get(key)) and not (kind == "file" and id(value) in read):
                    found[kind] = None
            stack += [value[key] for key in ("content", "toolResult", "guardContent") if key in value]
    return sorted(found)
