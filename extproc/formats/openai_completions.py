"""OpenAI completions, the legacy API that goes on with a prompt; still what many local servers and code models speak.

Source: OpenAI API reference, "Completions" (``choices[].text``, ``logprobs.tokens``, ``echo``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, ClassVar, Final

from extproc.chat.answer import Usage
from extproc.errors import DecodeError
from extproc.formats.base import Delta, Ending, Piece, Span
from extproc.formats.openai import OpenAI
from extproc.formats.openai_chat import says
from extproc.formats.openai_chat.counts import read_usage
from extproc.formats.openai_other import tokens
from extproc.formats.plain import STRUCTURE, Plain, alone
from extproc.formats.walk import Walk
from extproc.framing.jsontext import Path, dump
from extproc.policy.api import Scope

_SKIP: Final = STRUCTURE | {"finish_reason", "native_finish_reason", "system_fingerprint", "service_tier"}


class OpenAICompletions(OpenAI, Plain):
    """See ``formats.base.Format``."""

    name = "openai-completions"
    streamed_text = b'"text":'
    texts: ClassVar[Walk] = Walk(_SKIP, frozenset())

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Prompts may be token numbers, which say something to the model and nothing to us."""
        return tokens(body.get("prompt"))

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error."""
        choices = body.get("choices") if isinstance(body, dict) else None
        if not isinstance(choices, list):
            return self._spans(body, Scope.ASSISTANT)
        found: list[Span] = []
        self.texts.members(body, (), Scope.ASSISTANT, found, but="choices")
        for at, choice in enumerate(choices):
            self._choice(choice, ("choices", at), found)
        return found

    def _choice(self, choice: Any, path: Path, found: list[Span], but: str | None = None) -> None:
        if not isinstance(choice, dict):
            self.texts.value(choice, path, Scope.ASSISTANT, found)
            return
        self.texts.names(choice, path, Scope.ASSISTANT, found)
        for name, value in choice.items():
            if name != "logprobs":
                if name != but:
                    self.texts.member(name, value, path, Scope.ASSISTANT, found)
            elif others := "\n".join(_alternatives(value)):  # the tokens of the text itself: see echoes
                found.append(Span((*path, name), Scope.ASSISTANT, others))

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event; what a choice says goes on from event to event."""
        choices = event.get("choices") if isinstance(event, dict) else None
        if not isinstance(choices, list) or not choices:
            return super().delta(event)
        others: list[Span] = []
        self.texts.members(event, (), Scope.ASSISTANT, others, but="choices")
        pieces = [alone(span) for span in others]
        for at, choice in enumerate(choices):
            pieces += self._pieces(choice, ("choices", at), at)
        final = any(isinstance(choice, dict) and choice.get("finish_reason") is not None for choice in choices)
        lane = ("text", _number(choices[0], 0)) if len(choices) == 1 and isinstance(choices[0], dict) else None
        return Delta(pieces, lane, None, final or bool(pieces), final)

    def _pieces(self, choice: Any, path: Path, at: int) -> list[Piece]:
        text = choice.get("text") if isinstance(choice, dict) else None
        others: list[Span] = []
        self._choice(choice, path, others, but="text" if isinstance(text, str) else None)
        pieces = [alone(span) for span in others]
        if isinstance(text, str) and text:
            pieces.append(Piece((*path, "text"), Scope.ASSISTANT, text, ("text", _number(choice, at))))
        return pieces

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """The log probabilities of choices that were redacted, or whose tokens say something else than their text."""
        choices = body.get("choices") if isinstance(body, dict) else None
        found: list[Path] = []
        for at, choice in enumerate(choices if isinstance(choices, list) else []):
            if isinstance(choice, dict) and choice.get("logprobs") is not None:
                touched = any(path[:2] == ("choices", at) for path in changed)
                if touched or _spelled(choice["logprobs"]) != (choice.get("text") or ""):
                    found.append(("choices", at, "logprobs"))
        return found

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so."""
        return read_usage(body)

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text``."""
        finish = says.FILTERED if refuses else "stop"
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        head = _head(model, request_id, created)
        return dump({**head, "choices": [_said(0, text, finish)], "usage": usage})

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        finish = says.FILTERED if refuses else "stop"
        return _stream(_head(model, request_id, created), [(0, {"content": text}, None), (0, {}, finish)])

    def ending(self) -> Ending:
        """Follows one stream."""
        return says.Ending(_stream)

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The choice ends in this text."""
        if path[:1] != ("choices",) or len(path) != 3:
            return {path: dump(text)}
        edits: dict[Path, bytes] = {path: dump(text), (*path[:2], "finish_reason"): dump(says.FILTERED)}
        if body["choices"][path[1]].get("logprobs") is not None:
            edits[*path[:2], "logprobs"] = b"null"
        return edits


def _number(choice: dict[str, Any], at: int) -> int:
    number = choice.get("index", at)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise DecodeError("an index is not a number")  # clients may take "0", 0.0 and 0 for the same, or not
    return number


def _alternatives(value: Any) -> Iterator[str]:
    """Every string and name in log probabilities but the tokens of the text itself."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for child in value:
            yield from _alternatives(child)
    elif isinstance(value, dict):
        for name, child in value.items():
            if name != "tokens":
                yield name
                yield from _alternatives(child)


def _spelled(logprobs: Any) -> str | None:
    """The text of the tokens; None where it cannot be told."""
    listed = logprobs.get("tokens") if isinstance(logprobs, dict) else None
    if not isinstance(listed, list) or not all(isinstance(token, str) for token in listed):
        return None
    return "".join(listed)


def _head(model: str, request_id: str, created: int) -> dict[str, Any]:
    return {"id": f"cmpl-{request_id}", "object": "text_completion", "created": created, "model": model}


def _said(number: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": number, "logprobs": None, "finish_reason": finish}


def _stream(head: dict[str, Any], said: list[says.Said]) -> bytes:
    events = [
        dump({**head, "choices": [_said(number, delta.get("content", ""), finish)]}) for number, delta, finish in said
    ]
    return b"".join(b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"])
