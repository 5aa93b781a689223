"""The operations that may pass, and every spelling they go by. What is not in these tables is answered 404.

Only the configuration can name others (see ``named``).

An operation is known by method and exact path: no case folding, no trailing slash, no path parameters. Of query strings
only ``alt=sse`` of Gemini's streams is looked at; none reaches a provider.

Sources: the API references of OpenAI, Anthropic, Google (Gemini API, Vertex AI), AWS (Bedrock Runtime) and Azure OpenAI.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import unquote


class Operation(StrEnum):
    """What a client asks for, whatever API it speaks."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EDITS = "edits"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"
    IMAGES = "images"
    IMAGE_EDITS = "image-edits"
    IMAGE_VARIATIONS = "image-variations"
    SPEECH = "speech"
    TRANSCRIPTIONS = "transcriptions"
    TRANSLATIONS = "translations"
    COUNT_TOKENS = "count_tokens"
    MODELS = "models"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Passage:
    """Where an operation goes that only the configuration knows.

    Args:
        group: of its provider, by name; empty: that of the body's model.
        path: below the provider's base URL, query included.
        target: if not empty, the whole path in its stead.
        words: what in path and query the client has chosen, to be inspected.
    """

    group: str
    path: str = ""
    target: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation, and what else the path tells.

    Args:
        format: the name of the format it is asked in (see ``formats``).
        model: where the path names it.
        stream: where the path says so.
        listed: a stream is wanted as one JSON array.
        names_model: the model stands in the path alone, so that bodies do not name it.
        passage: for an operation that only the configuration knows.
    """

    operation: str
    format: str = "openai-chat"
    model: str | None = None
    stream: bool | None = None
    listed: bool = False
    names_model: bool = False
    passage: Passage | None = None


_OPENAI: Final = (
    ("/chat/completions", Operation.CHAT, "openai-chat"),
    ("/responses", Operation.CHAT, "openai-responses"),
    ("/completions", Operation.COMPLETIONS, "openai-completions"),
    ("/edits", Operation.EDITS, "openai-other"),
    ("/embeddings", Operation.EMBEDDINGS, "openai-embeddings"),
    ("/moderations", Operation.MODERATIONS, "openai-moderations"),
    ("/images/generations", Operation.IMAGES, "openai-images"),
    ("/images/edits", Operation.IMAGE_EDITS, "openai-image-edits"),
    ("/images/variations", Operation.IMAGE_VARIATIONS, "openai-image-edits"),
    ("/audio/speech", Operation.SPEECH, "openai-audio"),
    ("/audio/transcriptions", Operation.TRANSCRIPTIONS, "openai-audio"),
    ("/audio/translations", Operation.TRANSLATIONS, "openai-audio"),
)
_ANTHROPIC: Final = (
    ("/messages", Operation.CHAT, "anthropic-messages"),
    ("/messages/count_tokens", Operation.COUNT_TOKENS, "anthropic-count"),
    ("/complete", Operation.COMPLETIONS, "anthropic-complete"),
)
_VERSIONS: Final = ("/v1", "")


def _spelled(prefixes: tuple[str, ...], rows: tuple[tuple[str, Operation, str], ...]) -> dict[tuple[str, str], Asked]:
    return {
        ("POST", f"{prefix}{version}{path}"): Asked(operation, format_)
        for path, operation, format_ in rows
        for prefix in prefixes
        for version in _VERSIONS
    }


_TABLE: Final[dict[tuple[str, str], Asked]] = {
    **_spelled(("", "/openai", "/proxy/openai"), _OPENAI),
    **_spelled(("", "/anthropic", "/proxy/anthropic"), _ANTHROPIC),
    **{
        ("GET", f"{prefix}{version}/models"): Asked(Operation.MODELS, format_)
        for prefixes, format_ in (
            (("", "/openai", "/proxy/openai"), "openai-chat"),
            (("/anthropic", "/proxy/anthropic"), "anthropic-messages"),
        )
        for prefix in prefixes
        for version in _VERSIONS
    },
    **{
        ("GET", f"{prefix}/{version}/models"): Asked(Operation.MODELS, "gemini")
        for prefix in ("", "/gemini")
        for version in ("v1beta", "v1alpha")
    },
    ("GET", "/gemini/v1/models"): Asked(Operation.MODELS, "gemini"),
    ("GET", "/health/liveness"): Asked(Operation.HEALTH),
}

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_AZURE: Final = re.compile(rf"/openai/deployments/({_NAME})(/[a-z/]+)")
_BY_PATH: Final = {path: Asked(operation, format_) for path, operation, format_ in _OPENAI}
_ONE_MODEL: Final = re.compile(
    r"(|/openai|/proxy/openai|/anthropic|/proxy/anthropic|/gemini)/(v1|v1beta)/models/([A-Za-z0-9][A-Za-z0-9._:/-]{0,199})"
)
_GEMINI: Final = re.compile(
    rf"(?:/gemini)?/v1(?:beta1?|alpha)?/(?:projects/{_NAME}/locations/{_NAME}/publishers/google/)?"
    rf"(?:models|tunedModels)/({_NAME}):([A-Za-z]+)"
)
_GEMINI_METHODS: Final[Mapping[str, tuple[Operation, str, bool]]] = {
    "generateContent": (Operation.CHAT, "gemini", False),
    "streamGenerateContent": (Operation.CHAT, "gemini", True),
    "countTokens": (Operation.COUNT_TOKENS, "gemini-count", False),
    "embedContent": (Operation.EMBEDDINGS, "gemini-embed", False),
    "batchEmbedContents": (Operation.EMBEDDINGS, "gemini-batch-embed", False),
}
_BEDROCK: Final = re.compile(r"(?:/bedrock)?/model/([A-Za-z0-9](?:[A-Za-z0-9._:+-]|%3[Aa]|%2[Ff]){0,255})/([a-z-]+)")
_BEDROCK_METHODS: Final[Mapping[str, tuple[Operation, str, bool]]] = {
    "converse": (Operation.CHAT, "bedrock-converse", False),
    "converse-stream": (Operation.CHAT, "bedrock-converse", True),
    "invoke": (Operation.CHAT, "bedrock-invoke", False),
    "invoke-with-response-stream": (Operation.CHAT, "bedrock-invoke", True),
    "count-tokens": (Operation.COUNT_TOKENS, "bedrock-count", False),
}
_CLAUDE: Final = re.compile(r"(?:^|[./])anthropic\.claude")

SHAPES: Final[tuple[tuple[str, str], ...]] = tuple(
    dict.fromkeys(
        (str(operation), format_)
        for operation, format_ in (
            *((asked.operation, asked.format) for asked in _TABLE.values()),
            *(
                (operation, format_)
                for operation, format_, _ in (*_GEMINI_METHODS.values(), *_BEDROCK_METHODS.values())
            ),
            (Operation.CHAT, "bedrock-invoke-anthropic"),
        )
        if operation not in (Operation.MODELS, Operation.HEALTH)
    )
)
"""Every operation in every format it is asked in."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods whose bodies Envoy delivers; others are refused at the headers."""


_HINTS: Final = (
    ("anthropic-version", "anthropic-messages"),
    ("x-goog-api-client", "gemini"),
    ("x-goog-api-key", "gemini"),
)
"""Headers by which requests say whose API they are for, where paths do not."""


def hint(headers: Collection[str]) -> str:
    """The format that the names of a request's headers speak for; empty: none does."""
    for name, format_ in _HINTS:  # not ``next`` of a generator: every request asks, mostly for nothing
        if name in headers:
            return format_
    return ""


def find(method: str, target: str, hinted: str = "") -> Asked | None:
    """The operation for a method and request target, or None.

    ``hinted`` (see ``hint``): Anthropic's API and Gemini's share ``/v1/models`` with OpenAI's.
    """
    path, _, query = target.partition("?")
    asked = _TABLE.get((method, path))
    if asked is not None:
        shared = hinted and asked.operation is Operation.MODELS and asked.format == "openai-chat"
        return Asked(Operation.MODELS, hinted) if shared else asked
    if method == "POST":
        return _azure(path) or _gemini(path, query) or _bedrock(path)
    if method == "GET" and (found := _ONE_MODEL.fullmatch(path)) and found[3].partition(":")[2] not in _GEMINI_METHODS:
        return Asked(Operation.MODELS, _listed(found[1], found[2], hinted), found[3])
    return None


def _listed(prefix: str, version: str, hinted: str) -> str:
    """In whose format a model is told of: the path says it, or else the headers."""
    if "anthropic" in prefix:
        return "anthropic-messages"
    if "gemini" in prefix or version == "v1beta":
        return "gemini"
    return "openai-chat" if "openai" in prefix else hinted or "openai-chat"


def _azure(path: str) -> Asked | None:
    found = _AZURE.fullmatch(path)
    asked = _BY_PATH.get(found[2]) if found else None
    return Asked(asked.operation, asked.format, found[1]) if found and asked else None


def _gemini(path: str, query: str) -> Asked | None:
    found = _GEMINI.fullmatch(path)
    known = _GEMINI_METHODS.get(found[2]) if found else None
    if found is None or known is None:
        return None
    operation, format_, stream = known
    listed = stream and "alt=sse" not in query.split("&")
    return Asked(operation, format_, found[1], stream and not listed, listed, names_model=True)


def _bedrock(path: str) -> Asked | None:
    found = _BEDROCK.fullmatch(path)
    known = _BEDROCK_METHODS.get(found[2]) if found else None
    if found is None or known is None:
        return None
    operation, format_, stream = known
    model = unquote(found[1])
    if format_ == "bedrock-invoke" and _CLAUDE.search(model):
        format_ = "bedrock-invoke-anthropic"
    return Asked(operation, format_, model, stream, names_model=True)


_FOLDED: Final = frozenset(path.lower() for _, path in _TABLE)
_METHODS: Final = frozenset(name.lower() for name in (*_GEMINI_METHODS, *_BEDROCK_METHODS))


def resembles(path: str) -> bool:
    """Whether a server that is generous with case could take a path for one of an operation that is known here."""
    lower = path.lower()
    if lower in _FOLDED or re.split("[:/]", lower)[-1] in _METHODS:
        return True
    return "/deployments/" in lower and lower.endswith(tuple(_BY_PATH))


_TWICE: Final = 3
"""Rounds of percent-decoding: whoever is in front of a server may have done one or two."""
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


def plain(target: str) -> str:
    """A request's path as the most generous server could read it: decoded, without empty segments, dots and parameters."""
    path = _ABSOLUTE.sub("", target, count=1)
    for _ in range(_TWICE):
        path = unquote(path.partition("?")[0].partition("#")[0])
    found: list[str] = []
    for segment in path.replace("\\", "/").split("/"):
        name = "".join([each for each in segment.partition(";")[0] if each.isprintable() and not each.isspace()])
        if name == "..":
            del found[-1:]
        elif name not in ("", "."):
            found.append(name)
    return "/" + "/".join(found)


def disguised(method: str, path: str) -> bool:
    """Whether a ``plain`` path that was not found as it came is one of an operation whose texts are read here."""
    for each in (path, path.lower()):
        asked = find(method.upper(), each)
        if asked is not None and asked.operation not in (Operation.MODELS, Operation.HEALTH):
            return True
    return False


def spoken(target: str, hinted: str = "") -> str:
    """The format in which to speak to whoever asks for what is not here."""
    if target.startswith(("/bedrock", "/model/")):
        return "bedrock-converse"
    if target.startswith(("/gemini", "/v1beta", "/v1alpha")):
        return "gemini"
    return "anthropic-messages" if target.startswith(("/anthropic", "/proxy/anthropic")) else hinted or "openai-chat"


def spellings(operation: Operation, format_: str = "openai-chat") -> list[tuple[str, str]]:
    """Every (method, path) of an operation in a format that the table lists."""
    return [key for key, asked in _TABLE.items() if asked.operation is operation and asked.format == format_]
