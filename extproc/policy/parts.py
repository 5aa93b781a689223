"""What a request brings besides words: pictures, files and sound, and tools; in every format's way of saying it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from extproc.errors import LimitExceeded
from extproc.policy.fields import CHOICE, PROMPTS, SERVICES, TOOLS, Member, named, plain

Medium = Literal["image", "file", "audio", "video"]

_MEDIA: Final[dict[str, Medium]] = {
    "image": "image", "images": "image", "imageurl": "image", "inputimage": "image", "imagefile": "image",
    "imageembeds": "image", "computerscreenshot": "image", "mask": "image", "inputimagemask": "image",
    "referenceimages": "image", "markup": "image",
    "audio": "audio", "inputaudio": "audio", "audiourl": "audio", "audios": "audio",
    "video": "video", "videos": "video", "videourl": "video", "inputvideo": "video",
    "file": "file", "files": "file", "inputfile": "file", "fileurl": "file", "filedata": "file", "fileid": "file",
    "inlinedata": "file", "document": "file", "documents": "file", "pdf": "file", "containerupload": "file",
    "attachments": "file",
}  # fmt: skip
"""Types of parts, and names of members that hold one. Where a media type is given, that decides."""
_ARGUMENTS: Final = frozenset({"arguments", "args", "functioncall", "tooluse", "functionresponse", "json"})
"""Values that tools take and give: their members' names mean nothing here."""
_WORDS: Final = frozenset(
    {"text", "content", "arguments", "thinking", "signature", "encryptedcontent", "input", "prompt"}
)
_LOCATORS: Final = frozenset({
    "url", "uri", "imageurl", "fileurl", "audiourl", "videourl", "fileuri", "imageuri", "s3location", "gcsuri", "fileid",
})  # fmt: skip
_DATA: Final = re.compile(r"\s*data:\s*([a-z]+)/", re.IGNORECASE)
_SAID: Final = PROMPTS | {"system", "systeminstruction", "instructions", "variables"}
_CLOSED: Final = TOOLS | {
    "toolconfig",
    "metadata",
    "responseformat",
    "schema",
    "jsonschema",
    "responseschema",
    "modalities",
}


MAX_NODES: Final = 200_000
"""Values of one request that are looked at for media."""

_Held = tuple[Any, str, bool]  # a value, the plain name it stands under, and whether it belongs to the conversation


class Media(NamedTuple):
    """A picture, file, sound or film of a request; ``remote``: it is not in the request but somewhere else."""

    medium: Medium
    remote: bool


def media(body: dict[str, Any]) -> Iterator[Media]:
    """All of them.

    Raises:
        LimitExceeded: there is more to look at than anybody needs.
    """
    stack: list[_Held] = [(body, "", False)]
    seen = 0
    while stack:
        value, name, said = stack.pop()
        inside = [each for each in value if isinstance(each, (dict, list, str))]
        seen += 1 + len(inside)
        if seen > MAX_NODES:
            raise LimitExceeded(f"it has more than {MAX_NODES} values")
        if isinstance(value, list):
            stack += [(each, name, said) for each in inside if not isinstance(each, str)]
            for each in inside:
                yield from _data_url(name, each)
        else:
            rest = {key: child for key, child in value.items() if plain(key) not in _CLOSED or said}
            yield from _part(rest, said, stack)


def _data_url(name: str, text: Any) -> Iterator[Media]:
    if isinstance(text, str) and name not in _WORDS and (found := _DATA.match(text)):
        yield Media(_by_type(found[1], "file"), remote=False)


def _part(part: dict[str, Any], said: bool, stack: list[_Held]) -> Iterator[Media]:
    kind = _MEDIA.get(plain(part.get("type"))) if said else None
    arguments = "tooluse" in plain(part.get("type"))
    seen = False
    for key, child in part.items():
        name = plain(key)
        if child in (None, "", [], {}) or name in _ARGUMENTS or (arguments and name == "input"):
            continue
        medium = _MEDIA.get(name)
        if medium and (said or not _options(child)):
            seen = True
            yield from (_one(medium, name, each, part) for each in (child if isinstance(child, list) else [child]))
        elif isinstance(child, str):
            yield from _data_url(name, child)
        elif isinstance(child, (dict, list)) and not (kind and name == "source"):
            stack.append((child, name, said or name in _SAID))
    if kind and not seen:
        yield Media(kind, _remote("source", part.get("source") or part))


def _options(value: Any) -> bool:
    """Whether this is how an answer is to be spoken or drawn, rather than sound or a picture."""
    if not isinstance(value, dict) or _uploaded(value):
        return False
    return not any(plain(key) in _LOCATORS | {"data", "bytes", "source"} for key in value)


def _uploaded(value: Any) -> bool:
    """Whether this is a file of a form (see ``multipart.Form.value``)."""
    return isinstance(value, dict) and value.keys() == {"filename", "content_type"}


def _one(medium: Medium, name: str, value: Any, part: dict[str, Any]) -> Media:
    if _uploaded(value):
        claimed = _by_type(str(value["content_type"]), medium)
        # What the client says of it counts only where its name does not, and makes it no picture: those have names.
        return Media(claimed if medium == "file" and claimed != "image" else medium, remote=False)
    for holder in (value, part):
        mime = holder.get("mimeType") or holder.get("mime_type") if isinstance(holder, dict) else None
        if isinstance(mime, str):
            medium = _by_type(mime, medium)
    return Media(medium, _remote(name, value))


def _by_type(mime: str, other: Medium) -> Medium:
    main = mime.strip().casefold().partition("/")[0]
    return main if main in ("image", "audio", "video") else other  # type: ignore[return-value]


def _remote(name: str, value: Any) -> bool:
    """Whether a value says where something is, instead of bringing it."""
    stack = [(name, value)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(plain(key), child) for key, child in value.items()]
        elif isinstance(value, list):
            stack += [(name, child) for child in value]
        elif isinstance(value, str) and not _DATA.match(value) and _locates(name, value):
            return True
    return False


def _locates(name: str, value: str) -> bool:
    return name in _LOCATORS or "://" in value[:200] or value.lstrip().startswith("//")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool a request offers to the model; ``name`` is its type where it has none of its own, None if unreadable."""

    type: str
    name: str | None


def tools(members: Iterable[Member]) -> Iterator[Tool]:
    """All of them, wherever a format lists them."""
    for member in members:
        if member.value is None or member.value == []:
            continue
        if member.name in TOOLS and member.value != {}:
            yield from _listed(member.value)
        elif member.name in SERVICES:  # an empty object asks for it, too
            for each in member.value if isinstance(member.value, list) else [member.value]:
                yield Tool(SERVICES[member.name], _name(each, SERVICES[member.name]))


def _listed(value: Any) -> Iterator[Tool]:
    stack = list(value) if isinstance(value, list) else [value]
    while stack:
        tool = stack.pop()
        if isinstance(tool, dict) and tool:
            yield from _tool(tool, stack)
        elif isinstance(tool, list):
            stack += tool
        else:
            yield Tool(tool if isinstance(tool, str) else "", tool if isinstance(tool, str) else None)


def _tool(tool: dict[str, Any], stack: list[Any]) -> Iterator[Tool]:
    """The tools of one entry. One entry may name several things; each counts."""
    given = tool.get("type")
    type_ = given if isinstance(given, str) else "" if given is not None else None
    found = False
    for key, value in tool.items():
        name = plain(key)
        inner = value if isinstance(value, dict) else {}
        if name in ("cachepoint", "cachecontrol"):
            found = found or len(tool) == 1
        elif name == "functiondeclarations" or (name in TOOLS and isinstance(value, list)):
            found = True
            stack += [{"type": "function", **each} if isinstance(each, dict) and "type" not in each else each
                      for each in (value if isinstance(value, list) else [value])]  # fmt: skip
        elif name in ("function", "custom", "toolspec", "systemtool"):
            found = True
            yield Tool(_ALIASES.get(name, name) if type_ is None else type_, _name(inner, None))
        elif isinstance(value, dict) and type_ is None and "name" not in tool:
            found = True  # Gemini: the type is the member's name
            yield Tool(key, key)
    if not found or "name" in tool:
        yield Tool("function" if type_ is None else type_, _name(tool, type_))


_ALIASES: Final = {"toolspec": "function", "systemtool": "system"}


def _name(holder: Any, other: str | None) -> str | None:
    name = holder.get("name", holder.get("id", other)) if isinstance(holder, dict) else other
    return name if isinstance(name, str) and name else None


def plain_type(name: str) -> str:
    """A tool's type in one spelling; blanks stay, so that nothing but a spelling is equal to it."""
    return name.casefold().replace("_", "").replace("-", "")


def forced(members: Iterable[Member]) -> bool:
    """Whether a request makes the model use a tool. What is not known to leave it free does."""
    return any(not _free(each.value) for each in named(members, CHOICE))


def _free(choice: Any) -> bool:
    if isinstance(choice, str):
        return choice.casefold() in _FREE
    if not isinstance(choice, dict):
        return False
    holders = [each for each in (choice, choice.get("allowed_tools")) if isinstance(each, dict)]
    modes = [holder[key] for holder in holders for key in ("mode", "type") if holder.get(key) is not None]
    modes = [mode for mode in modes if mode != "allowed_tools"]
    if not modes:
        return all(plain(key) in _FREE or plain(key) == "allowedfunctionnames" for key in choice)
    return all(isinstance(mode, str) and mode.casefold() in _FREE for mode in modes)


_FREE: Final = frozenset({"auto", "none", "validated", "mode_unspecified"})


def sizes(members: Iterable[Member]) -> Iterator[Any]:
    """The sizes of pictures a request asks for, those of tools that draw included."""
    for member in members:
        if member.name in _SIZES and member.value is not None:
            yield member.value
        elif member.name in TOOLS and isinstance(member.value, list):
            for tool in member.value:
                if isinstance(tool, dict):
                    yield from (value for key, value in tool.items() if plain(key) in _SIZES and value is not None)


_SIZES: Final = frozenset({"size", "imagesize", "resolution"})
