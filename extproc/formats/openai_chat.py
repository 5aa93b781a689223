"""OpenAI chat completions: requests, answers, streams and errors.

Source: OpenAI API reference, "Chat Completions" and "Errors"; fields that compatible servers add (``reasoning_content``,
``reasoning``, ``reasoning_details``, ``thinking``) are known where they change a text's scope, and text otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any, Final

from extproc.errors import DecodeError
from extproc.formats.base import Delta, Piece, Span, Usage
from extproc.formats.walk import string, walk
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


def _walk(value: Any, path: Path, scope: Scope) -> Iterator[Span]:
    return walk(value, path, scope, _SKIP, _BLOBS)


def _message(message: Any, path: Path, scope: Scope) -> Iterator[Span]:
    if not isinstance(message, dict):
        yield from _walk(message, path, scope)
        return
    for key, value in message.items():
        yield from _walk(value, (*path, key), _scope(key, scope))


def _scope(key: str, scope: Scope) -> Scope:
    if key in _REASONING:
        return Scope.REASONING
    return Scope.TOOL_INPUT if key in _CALLS else scope


class OpenAIChat:
    """See ``formats.base.Format``."""

    name = "openai-chat"

    def model(self, body: dict[str, Any]) -> str | None:
        """The model a request names."""
        model = body.get("model")
        return model if isinstance(model, str) else None

    def streamed(self, body: dict[str, Any]) -> bool:
        """Whether a request asks for a stream."""
        return body.get("stream") is True

    def request_spans(self, body: dict[str, Any]) -> Iterator[Span]:
        """Every text of a request."""
        for key, value in body.items():
            if key == "messages" and isinstance(value, list):
                for index, message in enumerate(value):
                    role = message.get("role") if isinstance(message, dict) else None
                    scope = _ROLES.get(role, Scope.USER) if isinstance(role, str) else Scope.USER
                    yield from _message(message, (key, index), scope)
            else:
                yield from _walk(value, (key,), Scope.SYSTEM if key in _OPERATOR else Scope.USER)

    def response_spans(self, body: Any) -> Iterator[Span]:
        """Every text of a whole answer or error."""
        if not isinstance(body, dict):
            yield from _walk(body, (), Scope.ASSISTANT)
            return
        for key, value in body.items():
            if key == "choices" and isinstance(value, list):
                for index, choice in enumerate(value):
                    yield from self._choice(choice, (key, index))
            else:
                yield from _walk(value, (key,), Scope.ASSISTANT)

    def _choice(self, choice: Any, path: Path) -> Iterator[Span]:
        if not isinstance(choice, dict):
            yield from _walk(choice, path, Scope.ASSISTANT)
            return
        for key, value in choice.items():
            if key == "message":
                yield from _message(value, (*path, key), Scope.ASSISTANT)
            elif key != "logprobs":
                yield from _walk(value, (*path, key), Scope.ASSISTANT)
            elif others := "\n".join(_alternatives(value)):  # the tokens of the text itself: see echoes
                yield Span((*path, key), Scope.ASSISTANT, others)

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event, and its order among the others."""
        choices = event.get("choices") if isinstance(event, dict) else None
        if not isinstance(choices, list) or not choices:
            return Delta([_alone(span) for span in self.response_spans(event)], lane=None)
        pieces: list[Piece] = []
        for key, value in event.items():
            if key != "choices":
                pieces += [_alone(span) for span in _walk(value, (key,), Scope.ASSISTANT)]
        for position, choice in enumerate(choices):
            pieces += self._choice_pieces(choice, ("choices", position))
        return _ordered(choices, pieces)

    def _choice_pieces(self, choice: Any, path: Path) -> list[Piece]:
        if not isinstance(choice, dict):
            return [_alone(span) for span in _walk(choice, path, Scope.ASSISTANT)]
        pieces: list[Piece] = []
        delta = choice.get("delta")
        if isinstance(delta, dict):
            number = _number(choice, path[-1])
            for key, value in delta.items():
                pieces += _continued(value, (*path, "delta", key), (number, key), _scope(key, Scope.ASSISTANT))
            choice = {key: value for key, value in choice.items() if key != "delta"}
        pieces += [_alone(span) for span in self._choice(choice, path)]
        return pieces

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

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so."""
        usage = body.get("usage") if isinstance(body, dict) else None
        if not isinstance(usage, dict):
            return None
        return Usage(
            input=_count(usage, "prompt_tokens"),
            output=_count(usage, "completion_tokens"),
            cached=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
            reasoning=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
        )

    def error(self, status: int, code: str, message: str, kind: str) -> bytes:
        """An error body."""
        return dump({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """An error in the middle of a stream (SDKs raise on it), and the stream's end."""
        return b"data: " + self.error(0, code, message, kind) + b"\n\ndata: [DONE]\n\n"

    def reply(self, text: str, body: dict[str, Any], request_id: str, created: int) -> bytes:
        """A whole answer that says ``text``."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": None,
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return dump({**_head("chat.completion", body, request_id, created), "choices": [choice], "usage": usage})

    def reply_stream(self, text: str, body: dict[str, Any], request_id: str, created: int) -> bytes:
        """The same as a whole stream."""
        head = _head("chat.completion.chunk", body, request_id, created)
        deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": text}, None), ({}, "stop")]
        events = [
            dump({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})
            for delta, finish in deltas
        ]
        return b"".join(b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"])

    def models(self, names: list[str]) -> bytes:
        """The list of models a caller may use."""
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "llm-extproc"} for name in names]
        return dump({"object": "list", "data": data})


_TOKEN_KEYS: Final = frozenset({"token", "logprob", "bytes", "top_logprobs"})


def _alternatives(value: Any) -> Iterator[str]:
    """Every string in log probabilities but the tokens of the text itself."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for child in value:
            yield from _alternatives(child)
    elif isinstance(value, dict):
        for key, child in value.items():
            if key == "token" and "top_logprobs" in value:
                continue  # _spelled compares it with the text
            yield from _alternatives(child)


def _repeats(choice: dict[str, Any]) -> bool:
    """Whether a choice's log probabilities are of exactly its own text, and say nothing else in its place."""
    logprobs = choice["logprobs"]
    said = choice["message"] if "message" in choice else choice.get("delta")
    if not isinstance(logprobs, dict) or not isinstance(said, dict) or set(logprobs) - {"content", "refusal"}:
        return False
    return all((said.get(key) or "") == _spelled(logprobs.get(key)) for key in ("content", "refusal"))


def _spelled(tokens: Any) -> str | None:
    """The text of a list of tokens; None where it cannot be told or a token says something else than its bytes."""
    try:
        return b"".join(_token_bytes(token) for token in tokens or []).decode()
    except (TypeError, ValueError, KeyError, AttributeError):
        return None


def _token_bytes(token: Any) -> bytes:
    if set(token) - _TOKEN_KEYS:
        raise ValueError("unknown members")
    text: bytes = token["token"].encode()
    if token.get("bytes") is None:
        return text
    if not isinstance(token["bytes"], list):
        raise TypeError("bytes are not a list")
    raw = bytes(token["bytes"])
    if raw != text and _readable(raw):  # a part of a character has no text of its own
        raise ValueError("a token says something else than its bytes")
    return raw


def _readable(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _head(kind: str, body: dict[str, Any], request_id: str, created: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": created, "model": body.get("model", "")}


def _alone(span: Span) -> Piece:
    return Piece(span.path, span.scope, span.text, ("alone", span.path), joined=True, json=span.json)


def _continued(value: Any, path: Path, track: tuple[Any, ...], scope: Scope) -> list[Piece]:
    """Pieces of a delta: strings continue the ones under the same names; list elements are told apart by ``index``."""
    if isinstance(value, str):
        name = path[-1]
        spans = string(value, path, scope, _SKIP, _BLOBS)
        return [Piece(span.path, span.scope, span.text, track, name == "name", span.json) for span in spans]
    children: list[tuple[Any, Any, Any]] = []
    if isinstance(value, dict):
        children = [(key, key, child) for key, child in value.items()]
    elif isinstance(value, list):
        children = [(position, _number(child, position), child) for position, child in enumerate(value)]
    pieces: list[Piece] = []
    for step, name, child in children:
        pieces += _continued(child, (*path, step), (*track, name), scope)
    return pieces


def _number(element: Any, position: Any) -> Any:
    number = element.get("index") if isinstance(element, dict) else None
    if number is None:
        return position
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DecodeError("an index is not a number")  # clients may take "0", 0.0 and 0 for the same, or not
    return number


def _ordered(choices: list[Any], pieces: list[Piece]) -> Delta:
    only = choices[0] if len(choices) == 1 and isinstance(choices[0], dict) else None
    finishes = any(isinstance(choice, dict) and choice.get("finish_reason") is not None for choice in choices)
    telling = finishes or any(piece.text for piece in pieces)
    if only is None or not isinstance(number := only.get("index", 0), int):
        return Delta(pieces, lane=None, telling=telling, final=finishes)
    continued = [piece for piece in pieces if isinstance(piece.track, tuple) and piece.track[0] != "alone"]
    thinking = [piece for piece in continued if piece.scope is Scope.REASONING]
    if thinking and (finishes or len(thinking) < len(continued)):  # in both lanes: later reasoning must not overtake
        return Delta(pieces, lane=None, telling=telling, final=finishes)
    lane, other = (number, "reasoning"), (number, "answer")
    return Delta(pieces, lane if thinking else other, lane if finishes else None, telling, finishes)


def _count(mapping: Any, key: str) -> int:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
