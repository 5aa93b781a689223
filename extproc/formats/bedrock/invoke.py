"""InvokeModel and InvokeModelWithResponseStream of any maker but Anthropic: every string is looked at.

Source: Amazon Bedrock API reference, ``InvokeModel``, ``InvokeModelWithResponseStream``; user guide, "Inference request
parameters and response fields for foundation models". The names of members that makers say a text in, bit by bit, are
known; whatever else is in a chunk stands for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.formats.base import Brief, Delta, Piece, Span
from extproc.formats.bedrock import families, texts
from extproc.formats.bedrock.family import AWS
from extproc.formats.bedrock.words import read_usage
from extproc.formats.plain import Plain, alone
from extproc.formats.walk import Sourced
from extproc.framing.aws import CARRIED, carrying
from extproc.framing.base import Framing
from extproc.framing.jsontext import Path, dump
from extproc.policy.api import Scope

_TEXTS: Final = Sourced(frozenset(), frozenset({"bytes", "base64", "image", "images", "data", "url", "signature"}))
_CONTINUED: Final = {
    "generation": Scope.ASSISTANT,
    "outputText": Scope.ASSISTANT,
    "completion": Scope.ASSISTANT,
    "text": Scope.ASSISTANT,
    "content": Scope.ASSISTANT,
    "refusal": Scope.ASSISTANT,
    "reasoning": Scope.REASONING,
    "reasoning_content": Scope.REASONING,
    "arguments": Scope.TOOL_INPUT,
    "input": Scope.TOOL_INPUT,
    "partial_json": Scope.TOOL_INPUT,
}
"""Members that go on in the next chunk."""
_WHOLE: Final = frozenset({"response", "chat_history", "message"})
"""Members that say the whole answer again, or something of their own."""
_ROLES: Final = {
    "assistant": Scope.ASSISTANT,
    "CHATBOT": Scope.ASSISTANT,
    "system": Scope.SYSTEM,
    "SYSTEM": Scope.SYSTEM,
    "tool": Scope.TOOL_OUTPUT,
    "TOOL": Scope.TOOL_OUTPUT,
}
_TALKS: Final = frozenset({"messages", "chat_history"})
_OPERATOR: Final = frozenset({"system", "preamble", "tools", "toolConfig"})
_REASONS: Final = frozenset({"stop_reason", "finish_reason", "completionReason", "stopReason"})
_COUNTS: Final = (
    ("inputTokenCount", "outputTokenCount"),
    ("prompt_token_count", "generation_token_count"),
    ("prompt_tokens", "completion_tokens"),
    ("inputTextTokenCount", "totalOutputTextTokenCount"),
)
"""Input and output, by the names that makers and Bedrock itself give to them."""
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_LANE: Final = "answer"


class Invoke(AWS, Plain):
    """See ``formats.base.Format``."""

    name = "bedrock-invoke"
    framing: Framing = CARRIED
    texts = _TEXTS

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        found: list[Span] = []
        _TEXTS.names(body, (), Scope.USER, found)
        for key, value in body.items():
            if key in _TALKS and isinstance(value, list):
                for index, each in enumerate(value):
                    role = each.get("role") if isinstance(each, dict) else None
                    scope = _ROLES.get(role, Scope.USER) if isinstance(role, str) else Scope.USER
                    _TEXTS.value(each, (key, index), scope, found)
            else:
                _TEXTS.member(key, value, (), Scope.SYSTEM if key in _OPERATOR else Scope.USER, found)
        return found

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Kinds of content that are not text, where they are said as Converse does; and pictures by themselves."""
        found = set(texts.unscanned([body.get("messages"), body.get("system")], frozenset()))
        if any(body.get(name) for name in ("images", "image", "inputImage")) or _pictured(body.get("messages")):
            found.add("image")
        return sorted(found)

    def delta(self, event: Any) -> Delta:
        """Every text of a chunk, and its order among the others: all keep theirs."""
        pieces = [_piece(span) for span in self.response_spans(event)]
        final = _ends(event)
        return Delta(pieces, _LANE, None, bool(pieces) or final, final)

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or chunk says so in one of the ways known."""
        if not isinstance(body, dict):
            return None
        for holder in (body, body.get("metadata")):
            usage = holder.get("usage") if isinstance(holder, dict) else None
            if isinstance(usage, dict) and "inputTokens" in usage:
                return read_usage(usage)
        for holder in (body.get(_METRICS), body.get("usage"), body):
            if isinstance(holder, dict) and (found := _counted(holder)):
                return found
        return None

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text`` as the model's maker would."""
        family = families.of_model(model)
        return dump(family.whole(text, family.filtered if refuses else family.stop))

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        family = families.of_model(model)
        said = family.chunk(text, None) if text else []
        return _chunks([*said, *family.chunk("", family.filtered if refuses else family.stop)])

    def ending(self) -> Ending:
        """Follows one stream."""
        return Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The answer ends in this text; all texts that stand after it are emptied."""
        spans = [span for span in self.response_spans(body) if not span.fixed]
        places = [span.path for span in spans]
        edits: dict[Path, bytes] = {path: dump(text)}
        for later in places[places.index(path) + 1 :] if path in places else ():
            edits[later] = b'""'
        return edits


class Ending(Brief):
    """See ``formats.base.Ending``: remembers whose chunks these are."""

    __slots__ = ("_ended", "_family")

    def __init__(self) -> None:
        self._family: families.Family | None = None
        self._ended = False

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        self._family = self._family or families.of_chunk(event)
        self._ended = self._ended or _ends(event)

    def end(self, text: str) -> bytes:
        """See ``Ending``. An answer whose reason to end has been told says nothing more."""
        family = self._family or families.CHAT
        return b"" if self._ended else _chunks(family.chunk(text, family.filtered))


def _chunks(said: list[families.Body]) -> bytes:
    return b"".join([carrying(dump(each)) for each in said])


def _piece(span: Span) -> Piece:
    """A text of a chunk: under the names known it goes on, at the same place of the next chunk."""
    names = [step for step in span.path if isinstance(step, str)]
    scope = _CONTINUED.get(names[-1]) if names else None
    if scope is None or span.fixed or not _WHOLE.isdisjoint(names):
        return alone(span)
    scope = Scope.REASONING if "reasoningContent" in names else scope
    return Piece(span.path, scope, span.text, span.path, json=scope is Scope.TOOL_INPUT)


def _ends(event: Any) -> bool:
    """Whether a chunk tells why the answer ended, in itself or in its first choice."""
    if not isinstance(event, dict):
        return False
    holders = [event, event.get("messageStop")]
    for name in ("outputs", "choices", "results"):
        holders += event[name][:1] if isinstance(event.get(name), list) else []
    return any(holder.get(name) for holder in holders if isinstance(holder, dict) for name in _REASONS)


def _counted(holder: dict[str, Any]) -> Usage | None:
    for input_, output in _COUNTS:
        found = [holder.get(name) for name in (input_, output)]
        if all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in found):
            return Usage(*found)  # type: ignore[arg-type]
    return None


def _pictured(messages: Any) -> bool:
    """Whether messages have parts that are pictures in OpenAI's way."""
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") in ("image", "image_url"):
                return True
    return False
