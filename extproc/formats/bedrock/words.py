"""Converse's words for what every API has: reasons to stop, errors, counts of tokens, types of files, ids of calls.

Source: Amazon Bedrock API reference, ``Converse``, ``ConverseStream``, ``ToolUseBlock``, ``ImageBlock``, ``DocumentBlock``,
``VideoBlock``, ``AudioBlock`` and their service model in botocore.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from extproc.chat.answer import FailureKind, Finish, Usage
from extproc.chat.parts import Medium

NAME: Final = "bedrock-converse"
MAKER: Final = "claude"
"""Who signs reasoning; the other models of Bedrock tell theirs without a signature."""

_FINISHES: Final = {
    "end_turn": Finish.STOP,
    "tool_use": Finish.TOOLS,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "guardrail_intervened": Finish.FILTER,
    "content_filtered": Finish.FILTER,
    "refusal": Finish.REFUSAL,
}
_REASONS: Final = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOLS: "tool_use",
    Finish.FILTER: "content_filtered",
    Finish.REFUSAL: "content_filtered",
    Finish.PAUSE: "end_turn",
    Finish.OTHER: "end_turn",
}


def finish(reason: Any) -> Finish:
    """Why an answer ended."""
    return _FINISHES.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER


def stop_reason(finish_: Finish) -> str:
    """The same the other way round."""
    return _REASONS[finish_]


_ERRORS: Final = {
    "validationexception": (FailureKind.INVALID, 400),
    "servicequotaexceededexception": (FailureKind.RATE_LIMIT, 400),
    "unrecognizedclientexception": (FailureKind.AUTHENTICATION, 403),
    "accessdeniedexception": (FailureKind.PERMISSION, 403),
    "resourcenotfoundexception": (FailureKind.NOT_FOUND, 404),
    "modeltimeoutexception": (FailureKind.TIMEOUT, 408),
    "modelerrorexception": (FailureKind.INTERNAL, 424),
    "modelstreamerrorexception": (FailureKind.INTERNAL, 424),
    "throttlingexception": (FailureKind.RATE_LIMIT, 429),
    "modelnotreadyexception": (FailureKind.OVERLOADED, 429),
    "internalserverexception": (FailureKind.INTERNAL, 500),
    "serviceunavailableexception": (FailureKind.OVERLOADED, 503),
}
"""By name without case: the first letter is large in answers and small in streams."""
_STATUSES: Final = {
    400: FailureKind.INVALID,
    401: FailureKind.AUTHENTICATION,
    403: FailureKind.PERMISSION,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    413: FailureKind.TOO_LARGE,
    422: FailureKind.INVALID,
    429: FailureKind.RATE_LIMIT,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
}
_EXCEPTIONS: Final = {
    FailureKind.RATE_LIMIT: "throttlingException",
    FailureKind.OVERLOADED: "serviceUnavailableException",
    FailureKind.TIMEOUT: "modelStreamErrorException",
    FailureKind.INTERNAL: "internalServerException",
}


def failure_kind(name: str, status: int) -> tuple[FailureKind, int]:
    """What an error's name means and the status it has; ``status`` decides where the name is not known (0: none)."""
    known = _ERRORS.get(name.casefold())
    if known:
        return known[0], status or known[1]
    return _STATUSES.get(status, FailureKind.INVALID if 400 <= status < 500 else FailureKind.INTERNAL), status or 500


def exception(kind: FailureKind) -> str:
    """The name of an exception in a stream."""
    return _EXCEPTIONS.get(kind, "validationException")


def _count(counted: dict[str, Any], name: str) -> int:
    value = counted.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def read_usage(counted: dict[str, Any]) -> Usage:
    """Counts of tokens. ``inputTokens`` are those that no cache had part in."""
    read, written = _count(counted, "cacheReadInputTokens"), _count(counted, "cacheWriteInputTokens")
    new = _count(counted, "inputTokens")
    return Usage(new + read + written, _count(counted, "outputTokens"), cached=read, cache_write=written)


def write_usage(usage: Usage | None) -> dict[str, int]:
    """The same the other way round; zeros where nothing is known."""
    usage = usage or Usage()
    said = {
        "inputTokens": max(0, usage.input - usage.cached - usage.cache_write),
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
    }
    if usage.cached or usage.cache_write:
        said |= {"cacheReadInputTokens": usage.cached, "cacheWriteInputTokens": usage.cache_write}
    return said


_TYPES: Final[dict[str, dict[str, str]]] = {
    "image": {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"},
    "document": {
        "pdf": "application/pdf",
        "csv": "text/csv",
        "doc": "application/msword",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls": "application/vnd.ms-excel",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "html": "text/html",
        "txt": "text/plain",
        "md": "text/markdown",
    },
    "video": {
        "mkv": "video/x-matroska",
        "mov": "video/quicktime",
        "mp4": "video/mp4",
        "webm": "video/webm",
        "flv": "video/x-flv",
        "mpeg": "video/mpeg",
        "mpg": "video/mpg",
        "wmv": "video/x-ms-wmv",
        "three_gp": "video/3gpp",
    },
    "audio": {
        "mp3": "audio/mpeg",
        "wav": "audio/wav",
        "flac": "audio/flac",
        "aac": "audio/aac",
        "ogg": "audio/ogg",
        "opus": "audio/opus",
        "mp4": "audio/mp4",
        "webm": "audio/webm",
        "pcm": "audio/pcm",
        "m4a": "audio/m4a",
    },
}
"""Media types by kind of block and format."""
MEDIA: Final[dict[str, Medium]] = {"image": "image", "document": "file", "video": "video", "audio": "audio"}
"""What kinds of blocks hold."""
_BLOCKS: Final = {medium: block for block, medium in MEDIA.items()}
_ALIASES: Final = {"image/jpg": "image/jpeg", "audio/mp3": "audio/mpeg", "audio/x-wav": "audio/wav"}
_BEGINNINGS: Final = {"/9j/": "jpeg", "iVBOR": "png", "R0lGOD": "gif", "UklGR": "webp", "JVBERi": "pdf"}
"""How base64 of each format begins, for what comes without a type."""


def type_of(block: str, format_: str) -> str:
    """The media type of a block with this format; empty where it is not known."""
    return _TYPES[block].get(format_, "")


def format_of(medium: Medium, type_: str, name: str, data: str) -> tuple[str, str]:
    """The block for a medium and its format, by its type, else by its name, else by how it begins; empty if unknown."""
    kind = type_.partition(";")[0].strip().casefold()
    kind = _ALIASES.get(kind, kind)
    block = "image" if kind.startswith("image/") else _BLOCKS[medium]
    for format_, known in _TYPES[block].items():
        if kind == known:
            return block, format_
    if not kind:
        ending = name.rpartition(".")[2].casefold()
        begun = next((format_ for beginning, format_ in _BEGINNINGS.items() if data.startswith(beginning)), "")
        return block, next((each for each in (ending, begun) if each in _TYPES[block]), "")
    return block, "txt" if block == "document" and (kind.startswith("text/") or kind == "application/json") else ""


_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NOT_ID: Final = re.compile(r"[^a-zA-Z0-9_.:-]")
TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def call_id(id_: str) -> str:
    """The id of a call as Converse takes it: the same for the call and its result."""
    if _ID.fullmatch(id_):
        return id_
    return f"{_NOT_ID.sub('_', id_)[:40]}_{hashlib.sha256(id_.encode()).hexdigest()[:16]}"
