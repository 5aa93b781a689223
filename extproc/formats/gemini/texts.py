"""Gemini: where the texts are in requests, answers, events and errors, in both spellings of every name.

Source: Gemini API reference, "Generating content", "Counting tokens" and "Embeddings", and Vertex AI's of the same names.
A stream is server-sent events of whole answers (``alt=sse``), else one JSON list of them, which is read as a whole answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.errors import DecodeError
from extproc.formats import files
from extproc.formats.base import Delta, Piece, Signed, Span
from extproc.formats.gemini import says
from extproc.formats.gemini.codec import GeminiCodec
from extproc.formats.gemini.logprobs import alternatives, repeats
from extproc.formats.gemini.names import camel, either, snake
from extproc.formats.gemini.signed import listed, signed
from extproc.formats.gemini.tokens import ended, usage
from extproc.formats.google import Google
from extproc.formats.walk import Walk
from extproc.framing.jsontext import Path, dump
from extproc.policy.api import Scope


def _spelled(*names: str) -> frozenset[str]:
    return frozenset(names) | {snake(name) for name in names}


_SKIP: Final = _spelled(
    "id", "model", "modelVersion", "responseId", "createTime", "cachedContent",
    "role", "finishReason", "blockReason", "mimeType", "responseMimeType", "modality", "responseModalities", "category",
    "threshold", "probability", "severity", "method", "mode", "language", "outcome", "mediaResolution", "level",
    "thinkingLevel", "serviceTier", "trafficType", "urlRetrievalStatus", "behavior", "scheduling", "toolType", "taskType",
    "type", "format", "status",
)  # fmt: skip
_BLOBS: Final = _spelled("data", "thoughtSignature", "continuationToken")
_TEXTS: Final = Walk(_SKIP, _BLOBS)
_FREE: Final = Walk(frozenset(), frozenset())
"""Values that callers and models make up: no name in there means anything."""

_ROLES: Final = {
    "system": Scope.SYSTEM,
    "user": Scope.USER,
    "model": Scope.ASSISTANT,
    "function": Scope.TOOL_OUTPUT,
    "tool": Scope.TOOL_OUTPUT,
}
_OPERATOR: Final = frozenset({"tools", "toolConfig", "responseSchema", "responseJsonSchema"})
_INSIDE: Final = frozenset({"generateContentRequest", "requests", "generationConfig"})
"""Members of a request that hold members of requests."""
_TOOLS: Final = {
    "functionCall": Scope.TOOL_INPUT,
    "toolCall": Scope.TOOL_INPUT,
    "executableCode": Scope.TOOL_INPUT,
    "functionResponse": Scope.TOOL_OUTPUT,
    "toolResponse": Scope.TOOL_OUTPUT,
    "codeExecutionResult": Scope.TOOL_OUTPUT,
}
_MADE_UP: Final = frozenset({"args", "response", "partMetadata", "labels"})
_COMPLETE: Final = frozenset(_TOOLS) | {"groundingMetadata", "citationMetadata", "urlContextMetadata"}
"""What says all it has to say in one event."""


def _request(value: Any, path: Path, found: list[Span]) -> None:
    if not isinstance(value, dict):
        _TEXTS.value(value, path, Scope.USER, found)
        return
    _TEXTS.names(value, path, Scope.USER, found)
    for key, child in value.items():
        name, here = camel(key), (*path, key)
        if name in ("contents", "content"):
            _each(child, here, _content, None, found)
        elif name == "systemInstruction":
            _content(child, here, Scope.SYSTEM, found)
        elif name in _INSIDE:
            for at, each in listed(child, here):
                _request(each, at, found)
        elif name in _MADE_UP:
            _FREE.value(child, here, Scope.USER, found)
        elif child:
            _TEXTS.member(key, child, path, Scope.SYSTEM if name in _OPERATOR else Scope.USER, found)


def _each(value: Any, path: Path, find: Any, scope: Scope | None, found: list[Span]) -> None:
    for at, each in listed(value, path):
        find(each, at, scope, found)


def _content(value: Any, path: Path, scope: Scope | None, found: list[Span]) -> None:
    """A turn; ``scope`` is whose words they are, None where its role says it."""
    if scope is None:
        role = value.get("role") if isinstance(value, dict) else None
        scope = _ROLES.get(role, Scope.USER) if isinstance(role, str) else Scope.USER
    if not isinstance(value, dict):
        _TEXTS.value(value, path, scope, found)
        return
    _TEXTS.names(value, path, scope, found)
    for key, child in value.items():
        if key == "parts":
            _each(child, (*path, key), _part, scope, found)
        elif child:
            _TEXTS.member(key, child, path, scope, found)


def _part(value: Any, path: Path, scope: Scope, found: list[Span]) -> None:
    if not isinstance(value, dict):
        _TEXTS.value(value, path, scope, found)
        return
    scope = Scope.REASONING if value.get("thought") else scope
    _TEXTS.names(value, path, scope, found)
    for key, child in value.items():
        name = camel(key)
        if name in _TOOLS and isinstance(child, dict):
            _tool(child, (*path, key), _TOOLS[name], found)
        elif name in _MADE_UP:
            _FREE.value(child, (*path, key), scope, found)
        elif child:
            _TEXTS.member(key, child, path, _TOOLS.get(name, scope), found)


def _tool(value: dict[str, Any], path: Path, scope: Scope, found: list[Span]) -> None:
    _TEXTS.names(value, path, scope, found)
    for key, child in value.items():
        if key in _MADE_UP:
            _FREE.value(child, (*path, key), scope, found)
        elif child:
            _TEXTS.member(key, child, path, scope, found)


def _answer(value: Any, path: Path, found: list[Span]) -> None:
    if not isinstance(value, dict):
        _TEXTS.value(value, path, Scope.ASSISTANT, found)
        return
    _TEXTS.names(value, path, Scope.ASSISTANT, found)
    for key, child in value.items():
        if key == "candidates" and isinstance(child, list):
            for index, candidate in enumerate(child):
                _candidate(candidate, (*path, key, index), found)
        elif child:
            _TEXTS.member(key, child, path, Scope.ASSISTANT, found)


def _candidate(value: Any, path: Path, found: list[Span]) -> None:
    if not isinstance(value, dict):
        _TEXTS.value(value, path, Scope.ASSISTANT, found)
        return
    _TEXTS.names(value, path, Scope.ASSISTANT, found)
    for key, child in value.items():
        name = camel(key)
        if name == "content":
            _content(child, (*path, key), Scope.ASSISTANT, found)
        elif name == "logprobsResult":
            if others := "\n".join(alternatives(child)):  # the tokens of the text itself: see echoes
                found.append(Span((*path, key), Scope.ASSISTANT, others))
        elif child:
            _TEXTS.member(key, child, path, Scope.ASSISTANT, found)


class Gemini(Google):
    """See ``formats.base.Format``."""

    name = "gemini"
    codec: Codec | None = GeminiCodec()

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        found: list[Span] = []
        _request(body, (), found)
        return files.read(body, found)

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Media in the conversation; ``stored``: part of the conversation is kept at the provider."""
        found: dict[str, None] = {}
        read = files.readable(body)
        for _, request in [((), body), *listed(either(body, "generateContentRequest"), ()), *_requests(body)]:
            for member in ("contents", "content", "systemInstruction"):
                for _, content in listed(either(request, member), ()):
                    found |= dict.fromkeys(_media(content, read))
            if either(request, "cachedContent"):
                found["stored"] = None
        return list(found)

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer, a list of events, or an error."""
        found: list[Span] = []
        for path, each in listed(body, ()):
            first = len(found)
            _answer(each, path, found)
            candidates = each.get("candidates") if isinstance(each, dict) else None
            if isinstance(candidates, list):
                _join(found[first:], candidates, len(path))
        return found

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event, and its order among the others.

        Clients put a candidate's texts together and pass over whatever stands between them; its thoughts likewise. So
        each is one track from beginning to end, and a lane of its own.
        """
        spans: list[Span] = []
        _answer(event, (), spans)
        candidates = event.get("candidates") if isinstance(event, dict) else None
        if not isinstance(candidates, list) or not candidates:
            return Delta([_alone(span) for span in spans], None, final=_refused(event))
        numbers = [_number(candidate) for candidate in candidates]
        if len(set(numbers)) < len(numbers):
            raise DecodeError("two candidates have the same index")
        return _ordered(candidates, numbers, [_piece(span, candidates, numbers) for span in spans])

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """The log probabilities of candidates that were redacted, or that say something else than their candidate."""
        found: list[Path] = []
        for at, answer in listed(body, ()):
            candidates = answer.get("candidates") if isinstance(answer, dict) else None
            for index, candidate in enumerate(candidates if isinstance(candidates, list) else []):
                logprobs = either(candidate, "logprobsResult")
                if logprobs is None:
                    continue
                here = (*at, "candidates", index)
                if not repeats(candidate, logprobs) or any(path[: len(here)] == here for path in changed):
                    found += [(*here, key) for key in candidate if camel(key) == "logprobsResult"]
        return found

    def signed(self, body: Any) -> Iterable[Signed]:
        """Thoughts and texts; not calls."""
        return signed(body)

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so; a list's last word."""
        found = [usage(each) for _, each in listed(body, ())]
        return next((each for each in reversed(found) if each), None)

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text``."""
        return dump(says.answer(text, model, request_id, created, refuses=refuses))

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        return says.stream(says.answer(text, model, request_id, created, refuses=refuses))

    def ending(self) -> says.Ending:
        """Follows one stream."""
        return says.Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The candidate ends in this text; whatever it says after that goes."""
        return says.cut(body, path, text)


class GeminiCount(Gemini):
    """countTokens: a request, bare or whole, and numbers."""

    name = "gemini-count"
    codec = None

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """No tokens; the text cannot be said."""
        return dump({"totalTokens": 0})


class GeminiEmbed(Gemini):
    """embedContent and batchEmbedContents: one content or many, and vectors."""

    name = "gemini-embed"
    codec = None

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """No vector; the text cannot be said."""
        return dump({"embedding": {"values": []}})


# requests


def _requests(body: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    return listed(body.get("requests"), ())


def _media(content: Any, read: Set[int]) -> Iterator[str]:
    """Kinds of content that no text rule can read; ``read`` are the parts that are."""
    for _, part in listed(either(content, "parts"), ()):
        for member in ("inlineData", "fileData"):
            if isinstance(value := either(part, member), dict):
                kind = either(value, "mimeType")
                main = kind.partition("/")[0] if isinstance(kind, str) else ""
                kind = main if main in ("image", "audio", "video") else "file"
                if kind != "file" or id(part) not in read:
                    yield kind
        if isinstance(response := either(part, "functionResponse"), dict):
            yield from _media(response, read)


# events


def _number(candidate: Any) -> int:
    number = candidate.get("index") if isinstance(candidate, dict) else None
    if number is None:
        return 0  # ProtoJSON leaves zeros out
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DecodeError("an index is not a number")
    return number


def _alone(span: Span) -> Piece:
    return Piece(span.path, span.scope, span.text, ("alone", span.path, span.fixed), True, span.json, span.fixed)


def _is_said(path: Path) -> bool:
    """Whether this is the text of one of a candidate's parts."""
    return len(path) == 6 and path[0] == "candidates" and path[2:4] == ("content", "parts") and path[5] == "text"


def _join(spans: list[Span], candidates: list[Any], at: int) -> None:
    """Tell which texts of an answer its stream would say as one: all that a candidate says, and all that it thinks."""
    for span in spans:
        if not span.fixed and _is_said(path := span.path[at:]):
            number = either(candidates[path[1]], "index")  # type: ignore[index]
            span.track = (str(number or 0), span.scope is Scope.REASONING)


def _piece(span: Span, candidates: list[Any], numbers: list[int]) -> Piece:
    path = span.path
    if path[:1] != ("candidates",) or span.fixed or len(path) < 3:
        return _alone(span)
    number = numbers[path[1]]  # type: ignore[index]
    if _is_said(path):
        return Piece(path, span.scope, span.text, (number, span.scope is Scope.REASONING))
    if len(path) == 9 and camel(str(path[6])) == "partialArgs":
        written = candidates[path[1]]["content"]["parts"][path[4]][path[5]][path[6]][path[7]]  # type: ignore[index]
        return Piece(path, span.scope, span.text, (number, path[8], either(written, "jsonPath")))
    if any(isinstance(step, str) and camel(step) in _COMPLETE for step in path[2:6]):
        return Piece(path, span.scope, span.text, json=span.json)
    return _alone(span)


def _refused(event: Any) -> bool:
    """Whether an event says that the prompt was blocked, so that there is no answer."""
    return either(either(event, "promptFeedback"), "blockReason") is not None


def _ordered(candidates: list[Any], numbers: list[int], pieces: list[Piece]) -> Delta:
    finishes = any(ended(candidate) for candidate in candidates)
    parts = [part for each in candidates for _, part in listed(either(either(each, "content"), "parts"), ())]
    telling = finishes or bool(pieces) or any(part not in (None, {"text": ""}) for part in parts)
    if len(candidates) > 1:  # it keeps its place among all
        return Delta(pieces, None, None, telling, finishes)
    thoughts = [bool(isinstance(part, dict) and part.get("thought")) for part in parts]
    thinking = True in thoughts
    if thinking and (finishes or False in thoughts):  # in both lanes: later thoughts must not overtake
        return Delta(pieces, None, None, telling, finishes)
    lane, other = (numbers[0], True), (numbers[0], False)
    return Delta(pieces, lane if thinking else other, lane if finishes else None, telling, finishes)


class GeminiBatchEmbed(GeminiEmbed):
    """batchEmbedContents: a name of its own, because it has a path of its own."""

    name = "gemini-batch-embed"
