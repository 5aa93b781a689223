"""Parts, written as content blocks.

Source: Amazon Bedrock API reference, ``ContentBlock``, ``DocumentBlock``, ``ToolUseBlock``, ``ToolResultBlock``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Cache, Media, Reasoning, Text, ToolCall, ToolResult
from extproc.errors import Unrepresentable
from extproc.formats.bedrock.words import MAKER, TOOL_NAME, call_id, format_of
from extproc.formats.members import arguments
from extproc.framing.jsontext import Path

_DATA_URL: Final = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL | re.IGNORECASE)
_NOT_NAME: Final = re.compile(r"[^a-zA-Z0-9()\[\] -]+")
_BLANKS: Final = re.compile(r" {2,}")
_TTLS: Final = frozenset({"5m", "1h"})

Block = dict[str, Any]


def text(part: Text, losses: Losses) -> Block | None:
    """A text; None for an empty one, which the API refuses."""
    if not part.text:
        losses.add(part.where, "an empty text")
        return None
    return {"text": part.text}


def cache(mark: Cache | None, path: Path, losses: Losses) -> list[Block]:
    """The mark after a block that everything up to it is to be remembered."""
    if mark is None:
        return []
    point = {"type": "default"}
    if mark.ttl in _TTLS:
        point["ttl"] = mark.ttl
    elif mark.ttl:
        losses.add(path, "no such value")
    return [{"cachePoint": point}]


def reasoning(part: Reasoning, takes: bool, losses: Losses) -> Block | None:
    """What Claude thought, signed or sealed by it; None for all other thoughts, which no model takes back.

    ``takes``: the model may be Claude.
    """
    if not takes or part.maker != MAKER or not (part.signature or part.sealed):
        losses.add(part.where, "reasoning that this model has not signed")
        return None
    if part.signature:
        if part.sealed:
            losses.add(part.where, "reasoning that is sealed")
        return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}
    if part.text:
        losses.add(part.where, "reasoning that this model has not signed")
    return {"reasoningContent": {"redactedContent": part.sealed}}


def call(part: ToolCall, losses: Losses) -> Block:
    """A tool's call in a request.

    Raises:
        Unrepresentable: it takes text, its arguments are no JSON object, or it has a name that Converse does not take.
    """
    if part.custom:
        raise Unrepresentable(part.where, "a call of a tool that takes text")
    given = arguments(part.arguments)
    if given is None:
        raise Unrepresentable(part.where, "arguments that are no JSON object")
    if part.signature:
        losses.add(part.where, "a call's signature")
    return {"toolUse": {"toolUseId": call_id(part.id), "name": named(part.name, part.where), "input": given}}


def named(name: str, path: Path) -> str:
    """The name of a tool.

    Raises:
        Unrepresentable: Converse does not take it; another one the client would not know.
    """
    if not TOOL_NAME.fullmatch(name):
        raise Unrepresentable(path, "the name of a tool")
    return name


def result(part: ToolResult, names: set[str], losses: Losses) -> Block:
    """What a tool gave. Only a failure is told: not all models take a status.

    Raises:
        Unrepresentable: see ``media``.
    """
    content = [media(each, names, losses) if isinstance(each, Media) else text(each, losses) for each in part.parts]
    block: Block = {"toolUseId": call_id(part.id), "content": [each for each in content if each]}
    if part.failed:
        block["status"] = "error"
    return {"toolResult": block}


def media(part: Media, names: set[str], losses: Losses) -> Block:
    """A picture, document, film or sound. ``names`` are those that documents of this request have.

    Raises:
        Unrepresentable: it is somewhere else than in the request or in S3, or of a type that Converse does not take.
    """
    found = _DATA_URL.fullmatch(part.url)
    type_, data = (found[1], found[2]) if found else (part.type, part.data)
    kind, format_ = format_of(part.medium, type_ or ("text/plain" if part.text else ""), part.name, data)
    if not format_:
        raise Unrepresentable(part.where, f"{'an' if kind[0] in 'ai' else 'a'} {kind} of a type that is not taken")
    if part.detail and part.detail != "auto":
        losses.add((*part.where, "detail"), "no such setting")
    block: Block = {"format": format_, "source": _source(part, data)}
    if kind == "document":
        block["name"] = _name(part.name, names, part.where, losses)
    elif part.name:
        losses.add((*part.where, "name"), "no such setting")
    return {kind: block}


def _source(part: Media, data: str) -> Block:
    if data:
        return {"bytes": data}
    if part.text:
        return {"text": part.text}
    if part.url.startswith("s3://"):
        return {"s3Location": {"uri": part.url}}
    raise Unrepresentable(part.where, "a file that is somewhere else")


def _name(name: str, names: set[str], path: Path, losses: Losses) -> str:
    """A document's name as the API takes it: few characters, no two blanks in a row, none twice."""
    plain = _BLANKS.sub(" ", _NOT_NAME.sub("-", name)).strip()[:150] or "document"
    found, number = plain, 1
    while found in names:
        number += 1
        found = f"{plain} {number}"
    names.add(found)
    if name and found != name:
        losses.add((*path, "name"), "clamped")
    return found
