"""One part of a turn, to and fro.

Source: Gemini API reference, "Part"; "Thought signatures": a signature may stand on any part, and belongs right there. In
the canonical form it follows the part it stands on, as reasoning without words, except on thoughts and calls.
"""

from __future__ import annotations

import hashlib
from mimetypes import guess_type
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Medium, Native, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.gemini.names import elements, fields, text
from extproc.framing.jsontext import Path, dump, parse

MAKER: Final = "gemini"
NAME: Final = "gemini"
_WORDLESS: Final = "signature of another maker"

_UNION: Final = frozenset({"text", "inlineData", "fileData", "functionCall", "functionResponse"})
_AROUND: Final = frozenset({"thought", "thoughtSignature", "mediaResolution", "partMetadata"})
"""What may stand beside the one thing that a part says."""
_TYPES: Final[dict[str, Medium]] = {"image": "image", "audio": "audio", "video": "video"}
_GUESSED: Final = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4", "file": "application/pdf"}


def made_id(*of: Any) -> str:
    """An id for a call that came without one: the same for the same call, and acceptable to every API."""
    return "call_" + hashlib.sha256(repr(of).encode()).hexdigest()[:24]


def read(value: Any, where: Path, losses: Losses | None = None) -> list[Part]:
    """The parts that one of theirs comes to; a call without an id has an empty one.

    Raises:
        DecodeError: it is no part, or says two things.
    """
    given = fields(value, "a part")
    said = given.keys() - _AROUND
    if len(said & _UNION) > 1:
        raise DecodeError("a part says two things")
    if losses is not None:
        for name in given.keys() & {"mediaResolution", "partMetadata"}:
            losses.add((*where, name), "only Gemini's")
    if said - _UNION:
        return [Native(NAME, value, where)]
    signature = text(given.get("thoughtSignature", ""), "a signature")
    found: list[Part] = []
    if "functionCall" in given:
        return [_call(given["functionCall"], signature, where)]
    if "text" in given:
        words = text(given["text"], "a text")
        if given.get("thought"):
            return [Reasoning(words, signature, "", MAKER, summary=True, where=where)] if words or signature else []
        found = [Text(words, where=where)] if words else []
    elif "functionResponse" in given:
        found = [_result(given["functionResponse"], where)]
    elif "inlineData" in given or "fileData" in given:
        found = [_media(given, where)]
    return [*found, Reasoning("", signature, "", MAKER, where=where)] if signature else found


def _call(value: Any, signature: str, where: Path) -> ToolCall:
    given = fields(value, "a function call")
    if given.get("partialArgs") or given.get("willContinue"):
        raise DecodeError("a function call in pieces, which nobody asked for")
    args = given.get("args", {})
    if not isinstance(args, dict):
        raise DecodeError("arguments are not an object")
    name = text(given.get("name"), "a function's name")
    call = ToolCall(text(given.get("id", ""), "an id"), name, dump(args).decode(), where=where)
    call.signature, call.maker = signature, MAKER if signature else ""
    return call


def _result(value: Any, where: Path) -> ToolResult:
    given = fields(value, "a function response")
    response = given.get("response", {})
    if not isinstance(response, dict):
        raise DecodeError("a function's response is not an object")
    failed = [*response] == ["error"] and isinstance(response["error"], str)
    if failed or ([*response] == ["output"] and isinstance(response["output"], str)):
        words = response["error" if failed else "output"]
    else:
        words = dump(response).decode() if response else ""
    parts: list[Text | Media] = [Text(words, where=where)] if words else []
    for index, each in enumerate(elements(given.get("parts"), "parts")):
        parts.append(_media(fields(each, "a part"), (*where, "parts", index)))
    name = text(given.get("name", ""), "a function's name")
    return ToolResult(text(given.get("id", ""), "an id"), parts, name, failed, where=where)


def _media(given: dict[str, Any], where: Path) -> Media:
    held = given.get("inlineData", given.get("fileData"))
    value = fields(held, "a part's data")
    kind = text(value.get("mimeType", ""), "a media type")
    medium: Medium = _TYPES.get(kind.partition("/")[0], "file")
    media = Media(medium, type=kind, name=text(value.get("displayName", ""), "a name"), where=where)
    if "inlineData" in given:
        media.data = text(value.get("data", ""), "data")
    else:
        media.url = text(value.get("fileUri", ""), "an address")
    if not media.data and not media.url:
        raise DecodeError("a part's data is empty")
    return media


# the other way round


def write(part: Part, losses: Losses) -> list[dict[str, Any]]:
    """A part as theirs, none where nothing of it is left.

    Raises:
        Unrepresentable: it cannot be said.
    """
    cache = getattr(part, "cache", None)
    if cache is not None:
        losses.add(part.where, "cache mark")
    if isinstance(part, Text | Refusal):
        return [{"text": part.text}] if part.text else []
    if isinstance(part, Reasoning):
        return _thought(part, losses)
    if isinstance(part, Media):
        return [media(part, losses)]
    if isinstance(part, ToolCall):
        return [_called(part, losses)]
    if isinstance(part, Native):
        if part.format != NAME:
            raise Unrepresentable(part.where, "a kind of content that only another API has")
        return [part.value]
    raise Unrepresentable(part.where, "a tool's result in this place")


def _thought(part: Reasoning, losses: Losses) -> list[dict[str, Any]]:
    mine = part.maker == MAKER and not part.sealed
    if part.sealed or (part.signature and not mine):
        losses.add(part.where, _WORDLESS)
    said: dict[str, Any] = {"text": part.text}
    if part.text or part.summary:
        said["thought"] = True
    if mine and part.signature:
        said["thoughtSignature"] = part.signature
    return [said] if part.text or "thoughtSignature" in said else []


def media(part: Media, losses: Losses) -> dict[str, Any]:
    """Media; its type is guessed from a name or address, or else taken for what is usual.

    Raises:
        Unrepresentable: it is kept by another provider.
    """
    if part.detail in ("low", "high"):
        losses.add(part.where, "detail")
    if part.name:
        losses.add(part.where, "file name")
    if part.text:
        return {"text": part.text}
    if part.id:
        raise Unrepresentable(part.where, "a file that is kept by another provider")
    kind = part.type or guess_type(part.name or part.url.partition("?")[0])[0] or ""
    if part.data:
        return {"inlineData": {"mimeType": kind or _GUESSED[part.medium], "data": part.data}}
    return {"fileData": {**({"mimeType": kind} if kind else {}), "fileUri": part.url}}


def _called(part: ToolCall, losses: Losses) -> dict[str, Any]:
    if part.custom:
        raise Unrepresentable(part.where, "a call of a tool that takes text")
    call: dict[str, Any] = {"id": part.id, "name": part.name} if part.id else {"name": part.name}
    call["args"] = arguments(part)
    said: dict[str, Any] = {"functionCall": call}
    if part.signature and part.maker == MAKER:
        said["thoughtSignature"] = part.signature
    elif part.signature:
        losses.add(part.where, _WORDLESS)
    return said


def arguments(part: ToolCall) -> dict[str, Any]:
    """A call's arguments.

    Raises:
        Unrepresentable: they are no JSON object.
    """
    try:
        args = parse(part.arguments.encode()) if part.arguments.strip() else {}
    except (DecodeError, UnicodeEncodeError):
        args = None
    if not isinstance(args, dict):
        raise Unrepresentable(part.where, "arguments that are no JSON object")
    return args


def result(part: ToolResult, name: str, losses: Losses, *, inside: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A tool's result, and what has to follow it in parts of their own.

    Args:
        name: the tool's.
        inside: the model takes media in results.
    """
    words = "".join([each.text for each in part.parts if isinstance(each, Text)])
    found = [media(each, losses) for each in part.parts if isinstance(each, Media)]
    response: dict[str, Any] = {"id": part.id} if part.id else {}
    response |= {"name": name, "response": _response(words, failed=part.failed)}
    marks = [each for each in part.parts if each.cache is not None]
    if part.cache is not None or marks:
        losses.add(part.where, "cache mark")
    data = [each for each in found if "text" not in each]
    if inside and data:
        response["parts"] = data
    rest = [each for each in found if "text" in each or not inside]
    if rest:
        losses.add(part.where, "moved")
    return {"functionResponse": response}, rest


def _response(words: str, *, failed: bool) -> dict[str, Any]:
    if failed:
        return {"error": words}
    try:
        value = parse(words.encode())
    except (DecodeError, UnicodeEncodeError):
        value = None
    if isinstance(value, dict) and value and [*value] not in (["output"], ["error"]):
        return value
    return {"output": words} if words else {}
