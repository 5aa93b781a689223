"""Content blocks of Converse, read into parts.

Source: Amazon Bedrock API reference, ``ContentBlock``, ``ToolResultContentBlock``, ``SystemContentBlock``. Blocks the
canonical form has no part for (what Bedrock's own tools did, search results, changes of the tools) become ``Native``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from extproc.chat.losses import CITED, Losses
from extproc.chat.parts import Cache, Media, Native, Part, Reasoning, Text, ToolCall, ToolResult
from extproc.errors import DecodeError
from extproc.formats.bedrock.words import MAKER, MEDIA, NAME, type_of
from extproc.formats.members import member, needed
from extproc.framing.jsontext import Path, dump

SERVER: Final = "server_tool_use"
"""The type of a call that Bedrock itself answers."""
_UNKNOWN: Final = "unknown field"


def lose_others(value: dict[str, Any], known: set[str], path: Path, losses: Losses) -> None:
    """Note the members of an object that are not read, except those that say nothing."""
    for name in value:
        if name not in known and value[name] not in (None, [], {}):
            losses.add((*path, name), _UNKNOWN)


def read_content(blocks: list[Any], path: Path, losses: Losses) -> list[Part]:
    """What a message consists of.

    Raises:
        DecodeError: a block is none.
    """
    found: list[Part] = []
    for index, block in enumerate(blocks):
        here = (*path, index)
        if not isinstance(block, dict):
            raise DecodeError("a block is no object")
        if "cachePoint" in block and len(block) == 1:
            _mark(found, member(block, "cachePoint", dict, {}), here, losses)
        else:
            found += read_block(block, here, losses)
    return found


def read_cache(point: dict[str, Any]) -> Cache:
    """The mark that a provider is asked to remember everything up to here."""
    return Cache(member(point, "ttl", str, ""))


def _mark(found: list[Part], point: dict[str, Any], path: Path, losses: Losses) -> None:
    """A cache point is the mark of the part before it."""
    last = found[-1] if found else None
    if isinstance(last, Text | Media | ToolCall | ToolResult):
        last.cache = read_cache(point)
    else:
        losses.add(path, "nothing stands before it")


def read_block(block: dict[str, Any], path: Path, losses: Losses) -> list[Part]:
    """What one block says. Objects with two members are none of Converse's, nor are those with none."""
    kinds = [name for name in block if name != "type"]
    if len(kinds) != 1:
        raise DecodeError("a block is not of one kind")
    kind = kinds[0]
    value = block[kind]
    if kind == "text":
        return [Text(needed(block, kind, str), where=path)]
    if not isinstance(value, dict):
        raise DecodeError(f"{kind} is not of the type it must have")
    if kind == "toolUse" and member(value, "type", str, "") != SERVER:
        return [_call(value, (*path, kind), losses)]
    if kind == "toolResult" and "type" not in value:
        return [_result(value, (*path, kind), losses)]
    if kind == "reasoningContent":
        return [_reasoning(value, path)]
    if kind == "citationsContent":
        return [_cited(value, (*path, kind), losses)]
    if kind == "guardContent":
        return _guarded(value, (*path, kind), losses)
    media = _media(kind, value, (*path, kind), losses) if kind in MEDIA else None
    return [media or Native(NAME, block, path)]


def _call(value: dict[str, Any], path: Path, losses: Losses) -> ToolCall:
    lose_others(value, {"toolUseId", "name", "input", "type"}, path, losses)
    arguments = dump(value.get("input") or {}).decode()
    return ToolCall(needed(value, "toolUseId", str), needed(value, "name", str), arguments, where=path)


def _result(value: dict[str, Any], path: Path, losses: Losses) -> ToolResult:
    lose_others(value, {"toolUseId", "content", "status"}, path, losses)
    parts: list[Text | Media] = []
    for index, each in enumerate(member(value, "content", list, [])):
        here = (*path, "content", index)
        if not isinstance(each, dict):
            raise DecodeError("a block is no object")
        parts += _given(each, here, losses)
    failed = member(value, "status", str, "") == "error"
    return ToolResult(needed(value, "toolUseId", str), parts, failed=failed, where=path)


def _given(block: dict[str, Any], path: Path, losses: Losses) -> list[Text | Media]:
    """What a tool gave; JSON is the text it is written in."""
    if block.keys() == {"json"}:
        return [Text(dump(block["json"]).decode(), where=path)]
    if block.keys() == {"searchResult"}:
        found = member(block, "searchResult", dict, {})
        losses.add(path, "a search result's source")
        return [Text(_joined(member(found, "content", list, [])), where=path)]
    parts = read_block(block, path, losses)
    said = [part for part in parts if isinstance(part, Text | Media)]
    if len(said) != len(parts):
        losses.add(path, "a part that no result has")
    return said


def _joined(blocks: list[Any]) -> str:
    """The texts of blocks that have nothing else."""
    return "".join([member(each, "text", str, "") for each in blocks if isinstance(each, dict)])


def _reasoning(value: dict[str, Any], path: Path) -> Reasoning:
    told = member(value, "reasoningText", dict, {})
    return Reasoning(
        member(told, "text", str, ""),
        signature=member(told, "signature", str, ""),
        sealed=member(value, "redactedContent", str, ""),
        maker=MAKER,
        where=path,
    )


def _cited(value: dict[str, Any], path: Path, losses: Losses) -> Text:
    if value.get("citations"):
        losses.add((*path, "citations"), CITED)
    return Text(_joined(member(value, "content", list, [])), where=path)


def _guarded(value: dict[str, Any], path: Path, losses: Losses) -> list[Part]:
    """What a guardrail is to look at; without a guardrail it is what it holds."""
    losses.add(path, "a mark for a guardrail")
    text = member(value, "text", dict)
    if text is not None:
        return [Text(needed(text, "text", str), where=path)]
    return read_block({"image": value.get("image")}, path, losses)


def _media(kind: str, value: dict[str, Any], path: Path, losses: Losses) -> Media | None:
    """A picture, document, film or sound; None where its source is none that others know."""
    lose_others(value, {"format", "source", "name"}, path, losses)
    source = member(value, "source", dict, {})
    name = member(value, "name", str, "")
    type_ = type_of(kind, member(value, "format", str, ""))
    part = Media(MEDIA[kind], type=type_, name=name, where=path)
    if isinstance(source.get("bytes"), str):
        return replace(part, data=source["bytes"])
    if isinstance(source.get("text"), str):
        return replace(part, text=source["text"], type=type_ or "text/plain")
    place = member(source, "s3Location", dict, {})
    if uri := member(place, "uri", str, ""):
        lose_others(place, {"uri"}, (*path, "source", "s3Location"), losses)
        return replace(part, url=uri)
    return None
