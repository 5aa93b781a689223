"""Pictures, sound, films and files as content parts.

Source: OpenAI API reference, "Chat Completions" (``image_url``, ``input_audio``, ``file``); OpenRouter, "Multimodal"
(``video_url``, and ``images`` of answers).
"""

from __future__ import annotations

import re
from typing import Any, Final

from extproc.chat.parts import Media, Medium
from extproc.errors import Unrepresentable
from extproc.formats.openai_chat.checked import record, string
from extproc.framing.jsontext import Path

_DATA: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,", re.ASCII)
_SOUNDS: Final = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_SOUND_NAMES: Final = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav", "audio/vnd.wave": "wav"}
_URLS: Final[dict[str, Medium]] = {"image_url": "image", "video_url": "video", "audio_url": "audio"}
READ: Final = frozenset({*_URLS, "input_audio", "file"})
"""Types of parts this reads."""


def read(part: dict[str, Any], kind: str, where: Path) -> Media:
    """A part of one of the types of ``READ``.

    Raises:
        DecodeError: it is not of the shape its type has.
    """
    value = part.get(kind)
    if kind in _URLS:
        inner = {"url": value} if isinstance(value, str) else record(value, kind)
        media = _located(_URLS[kind], string(inner.get("url"), "a URL"))
        media.detail = string(inner.get("detail"), "detail")
    elif kind == "input_audio":
        inner = record(value, kind)
        sound = string(inner.get("format"), "format")
        media = Media("audio", data=string(inner.get("data"), "data"))
        media.type = _SOUNDS.get(sound, f"audio/{sound}" if sound else "")
    else:
        media = _file(record(value, kind))
    media.where = where
    return media


def _located(medium: Medium, url: str) -> Media:
    found = _DATA.match(url)
    if not found:
        return Media(medium, url=url)
    return Media(medium, data=url[found.end() :], type=found[1] or "")


def _file(value: dict[str, Any]) -> Media:
    name = string(value.get("filename"), "filename")
    if held := string(value.get("file_data"), "file_data"):
        media = _located("file", held)
        if media.url and "://" not in held[:16] and not held.startswith("data:"):
            media = Media("file", data=held)  # without the head of a data URL, as some clients send it
        media.name = name
        return media
    return Media("file", id=string(value.get("file_id"), "file_id"), name=name)


def write(media: Media, *, extensions: bool) -> dict[str, Any]:
    """A content part of a user's message; ``extensions``: the server takes films.

    Raises:
        Unrepresentable: there is no such part.
    """
    if media.medium == "image" and (media.url or media.data):
        inner = {"url": address(media, "image/png")}
        return {"type": "image_url", "image_url": inner | ({"detail": media.detail} if media.detail else {})}
    if media.medium == "audio" and media.data:
        sound = _SOUND_NAMES.get(media.type) or media.type.rpartition("/")[2] or "wav"
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": sound}}
    if media.medium == "video" and extensions and (media.url or media.data):
        return {"type": "video_url", "video_url": {"url": address(media, "video/mp4")}}
    if media.medium == "file" and (media.data or media.id):
        return {"type": "file", "file": _file_members(media)}
    if media.text:
        return {"type": "text", "text": media.text}
    raise Unrepresentable(media.where, f"{media.medium} in this form")


def _file_members(media: Media) -> dict[str, Any]:
    name = {"filename": media.name} if media.name else {}
    if media.id:
        return {"file_id": media.id, **name}
    held = address(media, "application/octet-stream") if media.type else media.data
    return {"file_data": held, **name}


def address(media: Media, type_: str) -> str:
    """The URL; a data URL where the data is here. ``type_`` is for data of unknown type."""
    return media.url or f"data:{media.type or type_};base64,{media.data}"
