"""OpenAI chat completions: requests, answers, streams and errors.

Source: OpenAI API reference, "Chat Completions" and "Errors"; fields that compatible servers add (``reasoning_content``,
``reasoning``, ``reasoning_details``, ``thinking``) are known where they change a text's scope, and text otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.errors import DecodeError
from extproc.formats import files
from extproc.formats.base import Delta, Piece, Signed, Span
from extproc.formats.logprobs import alternatives, spelled
from extproc.formats.openai import OpenAI
from extproc.formats.openai_chat import says
from extproc.formats.openai_chat.codec import OpenAIChatCodec
from extproc.formats.openai_chat.counts import read_usage
from extproc.formats.openai_chat.signed import signed
from extproc.formats.walk import Walk, are_known
from extproc.framing.jsontext import Path, dump
from extproc.policy.api import Scope

_SKIP: Final = frozenset({
    "id", "object", "model", "role", "type", "finish_reason", "native_finish_reason", "system_fingerprint",
    "service_tier", "tool_call_id", "detail", "format", "obfuscation", "provider", "reasoning_effort", "verbosity",
    "effort", "tool_choice", "function_call", "modalities", "mime_type", "refusal_reason", "prompt_cache_retention",
})  # fmt: skip
_BLOBS: Final = frozenset({"url", "data", "file_data", "signature", "thought_signature", "encrypted_content"})
_ROLES: Final = {
    "system": Scope.SYSTEM,
    "developer": Scope.SYSTEM,
    "user": Scope.USER,
    "assistant": Scope.ASSISTANT,
    "tool": Scope.TOOL_OUTPUT,
    "function": Scope.TOOL_OUTPUT,
}
_OPERATOR: Final = frozenset({"tools", "functions", "response_format"})
_REASONING: Final = frozenset({"reasoning", "reasoning_content", "reasoning_details", "thinking", "thinking_blocks"})
_CALLS: Final = frozenset({"tool_calls", "function_call"})


_UNSCANNED: Final = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "audio_url": "audio",
    "file": "file",
    "input_file": "file",
    "video_url": "video",
    "video": "video",
}

_PADDING: Final = re.compile(rb'"obfuscation":"([A-Za-z0-9]{1,64})"')
"""Letters that hide the length of what is said; a name of ``_SKIP``, so short tokens in it are structure."""

_TEXTS: Final = Walk(_SKIP, _BLOBS)


def _message(message: Any, path: Path, scope: Scope, found: list[Span]) -> None:
    if not isinstance(message, dict):
        _TEXTS.value(message, path, scope, found)
        return
    _TEXTS.names(message, path, scope, found)
    for key, value in message.items():
        if value:
            _TEXTS.member(key, value, path, _scope(key, scope), found)


def _scope(key: str, scope: Scope) -> Scope:
    if key in _REASONING:
        return Scope.REASONING
    return Scope.TOOL_INPUT if key in _CALLS else scope


class OpenAIChat(OpenAI):
    """See ``formats.base.Format``."""

    name = "openai-chat"
    codec: Codec | None = OpenAIChatCodec()
    streamed_text = b'"content":'

    def without_padding(self, data: bytes) -> bytes:
        """See ``Format``."""
        found = _PADDING.search(data)
        return data[: found.start(1)] + data[found.end(1) :] if found else data

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        found: list[Span] = []
        _TEXTS.names(body, (), Scope.USER, found)
        for key, value in body.items():
            if key == "messages" and isinstance(value, list):
                for index, message in enumerate(value):
                    role = message.get("role") if isinstance(message, dict) else None
                    scope = _ROLES.get(role, Scope.USER) if isinstance(role, str) else Scope.USER
                    _message(message, (key, index), scope, found)
            elif value:
                _TEXTS.member(key, value, (), Scope.SYSTEM if key in _OPERATOR else Scope.USER, found)
        return files.read(body, found)

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Kinds of content parts that are not text."""
        messages = body.get("messages")
        read = files.readable(body)
        found: dict[str, None] = {}
        for message in messages if isinstance(messages, list) else ():
            content = message.get("content") if isinstance(message, dict) else None
            for part in content if isinstance(content, list) else ():
                name = part.get("type") if isinstance(part, dict) else None
                kind = _UNSCANNED.get(name) if isinstance(name, str) else None
                if kind and not (kind == "file" and id(part) in read):
                    found[kind] = None
        return list(found)

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error."""
        found: list[Span] = []
        if not isinstance(body, dict):
            _TEXTS.value(body, (), Scope.ASSISTANT, found)
            return found
        _TEXTS.names(body, (), Scope.ASSISTANT, found)
        for key, value in body.items():
            if key == "choices" and isinstance(value, list):
                for index, choice in enumerate(value):
                    _choice(choice, (key, index), found)
            elif value:
                _TEXTS.member(key, value, (), Scope.ASSISTANT, found)
        return found

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event, and its order among the others."""
        choices = event.get("choices") if isinstance(event, dict) else None
        if not isinstance(choices, list) or not choices:
            return Delta([_alone(span) for span in self.response_spans(event)], lane=None)
        around: list[Span] = []
        _TEXTS.members(event, (), Scope.ASSISTANT, around, but="choices")
        pieces = [_alone(span) for span in around]
        for position, choice in enumerate(choices):
            _choice_pieces(choice, ("choices", position), pieces)
        return _ordered(choices, pieces)

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """The log probabilities of choices that were redacted, or that say something else than their choice."""
        choices = body.get("choices") if isinstance(body, dict) else None
        found: list[Path] = []
        for index, choice in enumerate(choices if isinstance(choices, list) else []):
            if isinstance(choice, dict) and choice.get("logprobs") is not None:
                touched = any(path[:2] == ("choices", index) for path in changed)
                if touched or not _repeats(choice):
                    found.append(("choices", index, "logprobs"))
        return found

    def signed(self, body: Any) -> Iterable[Signed]:
        """Thoughts in the lists that have room for a signature. A call keeps Gemini's: it is not of its arguments."""
        return signed(body)

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so."""
        return read_usage(body)

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text``."""
        return says.reply(text, model, request_id, created, refuses=refuses)

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        return says.reply_stream(text, model, request_id, created, refuses=refuses)

    def ending(self) -> says.Ending:
        """Follows one stream."""
        return says.Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The choice ends in this text; whatever it says after that goes."""
        if path[:1] != ("choices",) or len(path) < 4 or path[2] != "message":
            return {path: dump(text)}
        choice = body["choices"][path[1]]
        edits: dict[Path, bytes] = {}
        found = False
        for name, value in choice["message"].items():
            here = (*path[:3], name)
            if found and name != "role":
                edits[here] = b"null"
            elif name == path[3]:
                found = True
                edits[here] = dump(text if isinstance(value, str) else None)
        edits[*path[:2], "finish_reason"] = dump(says.FILTERED)
        if choice.get("logprobs") is not None:
            edits[*path[:2], "logprobs"] = b"null"
        return edits


def _repeats(choice: dict[str, Any]) -> bool:
    """Whether a choice's log probabilities are of exactly its own text, and say nothing else in its place."""
    logprobs = choice["logprobs"]
    said = choice["message"] if "message" in choice else choice.get("delta")
    if not isinstance(logprobs, dict) or not isinstance(said, dict) or set(logprobs) - {"content", "refusal"}:
        return False
    return all((said.get(key) or "") == spelled(logprobs.get(key)) for key in ("content", "refusal"))


def _choice(choice: Any, path: Path, found: list[Span], but: str | None = None) -> None:
    if not isinstance(choice, dict):
        _TEXTS.value(choice, path, Scope.ASSISTANT, found)
        return
    _TEXTS.names(choice, path, Scope.ASSISTANT, found)
    for key, value in choice.items():
        if not value or key == but:
            continue
        if key == "message":
            _message(value, (*path, key), Scope.ASSISTANT, found)
        elif key != "logprobs":
            _TEXTS.member(key, value, path, Scope.ASSISTANT, found)
        elif others := "\n".join(alternatives(value)):  # the tokens of the text itself: see echoes
            found.append(Span((*path, key), Scope.ASSISTANT, others))


def _choice_pieces(choice: Any, path: Path, pieces: list[Piece]) -> None:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if isinstance(delta, dict):
        number = _number(choice, path[-1])
        _names(delta, (*path, "delta"), Scope.ASSISTANT, pieces)
        for key, value in delta.items():
            if value:
                _continued(value, (*path, "delta", key), key, (number, key), _scope(key, Scope.ASSISTANT), pieces)
    others: list[Span] = []
    _choice(choice, path, others, but="delta" if isinstance(delta, dict) else None)
    pieces += [_alone(span) for span in others]


_ALONE: Final = "alone"


def _alone(span: Span) -> Piece:
    return Piece(span.path, span.scope, span.text, (_ALONE, span.path, span.fixed), True, span.json, span.fixed)


def _names(value: dict[str, Any], path: Path, scope: Scope, pieces: list[Piece]) -> None:
    if not are_known(value):
        found: list[Span] = []
        _TEXTS.names(value, path, scope, found)
        pieces += [_alone(span) for span in found]


def _continued(value: Any, path: Path, name: str, track: tuple[Any, ...], scope: Scope, pieces: list[Piece]) -> None:
    """Pieces of a delta: strings continue the ones under the same names; list elements are told apart by ``index``."""
    if isinstance(value, str):
        if _TEXTS.is_text(value, name):
            pieces.append(Piece(path, scope, value, track, path[-1] == "name", name == "arguments"))
    elif isinstance(value, dict):
        _names(value, path, scope, pieces)
        for key, child in value.items():
            _continued(child, (*path, key), key, (*track, key), scope, pieces)
    elif isinstance(value, list):
        for position, child in enumerate(value):
            _continued(child, (*path, position), name, (*track, _number(child, position)), scope, pieces)


def _number(element: Any, position: Any) -> Any:
    number = element.get("index") if isinstance(element, dict) else None
    if number is None:
        return position
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DecodeError("an index is not a number")  # clients may take "0", 0.0 and 0 for the same, or not
    return number


def _ordered(choices: list[Any], pieces: list[Piece]) -> Delta:
    only = choices[0] if len(choices) == 1 and isinstance(choices[0], dict) else None
    if only is None or not isinstance(number := only.get("index", 0), int):  # it keeps its place among all
        finishes = any(isinstance(choice, dict) and choice.get("finish_reason") is not None for choice in choices)
        return Delta(pieces, None, None, finishes or bool(pieces), finishes)
    finishes = only.get("finish_reason") is not None
    telling = finishes or bool(pieces)
    # scopes of the texts that go on in other events
    scopes = {piece.scope is Scope.REASONING for piece in pieces if piece.track[0] != _ALONE}  # type: ignore[index]
    thinking = True in scopes or (not scopes and _thinks(only.get("delta")))
    if thinking and (finishes or False in scopes):  # in both lanes: later reasoning must not overtake
        return Delta(pieces, None, None, telling, finishes)
    lane, other = (number, "reasoning"), (number, "answer")
    return Delta(pieces, lane if thinking else other, lane if finishes else None, telling, finishes)


def _thinks(delta: Any) -> bool:
    """Whether a delta without texts has reasoning all the same: a signature, which follows what it signs."""
    return not _REASONING.isdisjoint(delta or ()) and any(delta.get(name) for name in _REASONING)
