"""OpenAI audio: speech, transcriptions and translations; requests, answers, streams and errors.

Requests for speech are JSON; the others are forms, seen as the value of ``multipart.Form``. Answers that are neither JSON
nor a stream are text (see ``formats.subtitles``) or sound (see ``sound``).

Source: OpenAI API reference, "Audio": create speech, create transcription, create translation, streaming events.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.formats import counts
from extproc.formats.base import Brief, Delta, Piece, Span
from extproc.formats.openai import OpenAI
from extproc.formats.walk import Walk
from extproc.framing.jsontext import Path, dump
from extproc.framing.multipart import Fields, affirmed
from extproc.framing.sse import framed
from extproc.policy.api import Scope

NAME: Final = "openai-audio"

_SKIP: Final = frozenset({
    "model", "type", "id", "object", "task", "language", "languages", "voice", "response_format", "stream_format",
    "stream", "include", "timestamp_granularities", "content_type", "segment_id", "obfuscation",
})  # fmt: skip
_BLOBS: Final = frozenset({"audio", "known_speaker_references"})
_REPEATS: Final = {"segments": "", "words": " "}
"""Lists that say the text of a transcript once more, and what stands between their elements where they are put together."""
_LISTS: Final = frozenset((name,) for name in _REPEATS)
_SAID: Final = frozenset({"text", "delta", *_REPEATS})
_TEXTS: Final = Walk(_SKIP, _BLOBS)

_TRACK: Final = ("transcript",)
_LANE: Final = "events"
_DONE: Final = ".done"
_NOTHING: Final = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def sound(media: str) -> bool:
    """Whether an answer of this content type, in lower case and without parameters, is sound, which no text rule reads."""
    return media.startswith("audio/") or media == "application/octet-stream"


class OpenAIAudio(OpenAI):
    """See ``formats.base.Format``. ``form`` says what its forms have."""

    name = NAME
    codec: Codec | None = None
    streamed_text = b'"delta":'
    form: Final = Fields(files=frozenset({"file"}), numbers=frozenset({"temperature"}))

    def without_padding(self, data: bytes) -> bytes:
        """There is none."""
        return data

    def streamed(self, body: dict[str, Any]) -> bool:
        """Whether a request asks for a stream."""
        return affirmed(body.get("stream")) or body.get("stream_format") == "sse"

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        found: list[Span] = []
        _TEXTS.names(body, (), Scope.USER, found)
        for key, value in body.items():
            if value:
                _TEXTS.member(key, value, (), Scope.SYSTEM if key == "instructions" else Scope.USER, found)
        return found

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """The recording, and those of known speakers."""
        return ["audio"] if body.get("file") or body.get("known_speaker_references") else []

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error. A list that repeats the text is one text: see ``echoes``."""
        found: list[Span] = []
        if not isinstance(body, dict):
            _TEXTS.value(body, (), Scope.ASSISTANT, found)
            return found
        _TEXTS.names(body, (), Scope.ASSISTANT, found)
        for key, value in body.items():
            if value and key in _REPEATS:
                _repeated(key, value, found)
            elif value and key != "logprobs":  # of the text itself: see echoes
                _TEXTS.member(key, value, (), Scope.ASSISTANT, found)
        return found

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event. All events stay in order."""
        kind = event.get("type") if isinstance(event, dict) else None
        done = isinstance(kind, str) and kind.endswith(_DONE)
        pieces = [_piece(number, span, kind) for number, span in enumerate(self.response_spans(event))]
        return Delta(pieces, _LANE, final=done, closes=(_TRACK,) if done else ())

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """Segments, words and log probabilities of a text that was redacted; log probabilities of anything else."""
        if not isinstance(body, dict):
            return []
        touched = any(path[0] in _SAID for path in changed if path)
        found: list[Path] = [(name,) for name in _REPEATS if touched and body.get(name)]
        logprobs = body.get("logprobs")
        said = body.get("delta", body.get("text"))
        if logprobs and (touched or not _spells(logprobs, said)):
            found.append(("logprobs",))
        return found

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, or seconds of sound, where an answer or event says so."""
        if not isinstance(body, dict):
            return None
        usage = body.get("usage")
        told = usage.get("seconds") if isinstance(usage, dict) else body.get("duration")
        return counts.tokens(usage) or counts.seconds(told)

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A transcript; there is no way to say that a filter has ended it."""
        return dump({"text": text, "usage": {"type": "tokens", **_NOTHING}})

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        return Ending().end(text)

    def ending(self) -> Ending:
        """Follows one stream."""
        return Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The transcript ends in this text; what repeats it goes."""
        if not isinstance(body, dict) or not path or path[0] not in _SAID:
            return {path: dump(text)}
        edits: dict[Path, bytes] = {(name,): b"null" for name in (*_REPEATS, "logprobs") if body.get(name) is not None}
        if path[0] not in _REPEATS:
            edits[path] = dump(text)
        return edits


class Ending(Brief):
    """See ``formats.base.Ending``. What was said before stays out of the last event: nobody knows how it was redacted."""

    __slots__ = ("_over", "_speech")

    def __init__(self) -> None:
        self._speech = self._over = False

    def see(self, event: Any) -> None:
        """See ``Ending``."""
        kind = event.get("type") if isinstance(event, dict) else None
        if isinstance(kind, str):
            self._speech = kind.startswith("speech.")
            self._over = self._over or kind.endswith(_DONE)

    def end(self, text: str) -> bytes:
        """See ``Ending``. Sound cannot say the text."""
        if self._over:
            return b""
        if self._speech:
            return _said({"type": "speech.audio.done", "usage": _NOTHING})
        delta = _said({"type": "transcript.text.delta", "delta": text}) if text else b""
        return delta + _said({"type": "transcript.text.done", "text": text, "usage": {"type": "tokens", **_NOTHING}})


def _said(event: dict[str, Any]) -> bytes:
    return framed(dump(event))


def _piece(number: int, span: Span, kind: Any) -> Piece:
    """A text of an event. Those of segments stand alone, and must be harmless together: clients show them in both ways."""
    piece = Piece(span.path, span.scope, span.text, ("alone", span.path, span.fixed), True, span.json, span.fixed)
    if span.path == ("delta",) and not span.fixed:
        piece.track, piece.joined = _TRACK, False
    elif span.path == ("text",) and not span.fixed and kind != "transcript.text.segment":
        piece.track, piece.joined = None, False  # all of what the deltas said
    elif span.path[:1] in _LISTS:
        piece.track = ("alone", span.path, number)  # the same said twice: each by itself
    return piece


def _repeated(key: str, value: Any, found: list[Span]) -> None:
    """The texts of a list as one: each on a line of its own, and put together."""
    inside: list[Span] = []
    _TEXTS.value(value, (key,), Scope.ASSISTANT, inside)
    found += [span for span in inside if span.fixed]
    texts = [span.text for span in inside if not span.fixed]
    found += [Span((key,), Scope.ASSISTANT, between.join(texts)) for between in ("\n", _REPEATS[key]) if texts]


_TOKEN_NAMES: Final = frozenset({"token", "logprob", "bytes"})


def _spells(tokens: Any, text: Any) -> bool:
    """Whether log probabilities are of exactly this text, and say nothing else."""
    if not isinstance(tokens, list) or not isinstance(text, str):
        return False
    try:
        return b"".join(map(_bytes, tokens)).decode() == text
    except (TypeError, ValueError, KeyError, AttributeError):
        return False


def _bytes(token: Any) -> bytes:
    """What one token says.

    Raises:
        TypeError, ValueError, KeyError, AttributeError: nobody can tell, or it says two things.
    """
    if token.keys() - _TOKEN_NAMES or isinstance(token.get("logprob"), (str, list, dict)):
        raise ValueError("unknown members")
    text: bytes = token["token"].encode()
    if token.get("bytes") is None:
        return text
    raw = bytes(map(int, token["bytes"])) if isinstance(token["bytes"], list) else b""
    if raw != text and "\ufffd" not in raw.decode("utf-8", "replace"):  # part of a character has no text of its own
        raise ValueError("a token says something else than its bytes")
    return raw
