"""The Responses API as the guards see it.

Source: OpenAI API reference, "Responses", "Streaming events" and "Errors".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from extproc.chat.answer import Usage
from extproc.chat.codec import Codec
from extproc.formats import files
from extproc.formats.base import Delta, Signed, Span
from extproc.formats.openai import OpenAI
from extproc.formats.openai_responses import events, says, seals, shapes, texts
from extproc.formats.openai_responses.codec import OpenAIResponsesCodec
from extproc.formats.openai_responses.ending import Ending
from extproc.framing.jsontext import Path, dump
from extproc.policy.api import Scope

_PADDING: Final = re.compile(rb'"obfuscation":"([A-Za-z0-9]{1,64})"|"sequence_number":((?:0|[1-9][0-9]{0,14})(?=[,}]))')
"""Letters that hide the length of what is said (short tokens are structure there), and an event's number."""

_OPERATOR: Final = frozenset({"instructions", "tools", "text"})
_STORED: Final = ("previous_response_id", "conversation", "prompt", "background")
_UNSCANNED: Final = {
    "input_image": "image",
    "computer_screenshot": "image",
    "input_audio": "audio",
    "input_file": "file",
    "input_video": "video",
    "item_reference": "stored",
}


class OpenAIResponses(OpenAI):
    """See ``formats.base.Format``."""

    name = "openai-responses"
    codec: Codec | None = OpenAIResponsesCodec()
    streamed_text = b'"delta":'

    def without_padding(self, data: bytes) -> bytes:
        """See ``Format``."""
        if b'"obfuscation"' not in data and b'"sequence_number"' not in data:
            return data
        return _PADDING.sub(_emptied, data)

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        found: list[Span] = []
        texts.TEXTS.names(body, (), Scope.USER, found)
        for key, value in body.items():
            if key == "input" and isinstance(value, list):
                for index, item in enumerate(value):
                    texts.item(item, (key, index), Scope.USER, found, sent=True)
            elif value:
                texts.TEXTS.member(key, value, (), Scope.SYSTEM if key in _OPERATOR else Scope.USER, found)
        return files.read(body, found)

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Kinds of parts that are not text; ``stored`` for what the provider keeps and adds by itself."""
        found: dict[str, None] = dict.fromkeys(["stored"] if any(body.get(name) for name in _STORED) else [])
        items, read = body.get("input"), files.readable(body)
        for item in items if isinstance(items, list) else ():
            held = [item.get("content"), item.get("output")] if isinstance(item, dict) else []
            parts = [each for value in held for each in (value if isinstance(value, list) else [value])]
            for each in (item, *parts):
                kind = each.get("type") if isinstance(each, dict) else None
                if isinstance(kind, str) and kind in _UNSCANNED and id(each) not in read:
                    found[_UNSCANNED[kind]] = None
        return list(found)

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer or error."""
        found: list[Span] = []
        texts.response(body, (), found)
        return found

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event, and its order among the others."""
        return events.delta(event)

    def echoes(self, body: Any, changed: Set[Path]) -> list[Path]:
        """The log probabilities of texts that were redacted, or that say something else than their text."""
        return texts.echoes(body, changed) if isinstance(body, dict) else []

    def signed(self, body: Any) -> Iterable[Signed]:
        """Reasoning of other makers, whose signatures we have put into its seal. OpenAI's own seals hold the text itself."""
        return seals.in_place(body)

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, where an answer or event says so."""
        if not isinstance(body, dict):
            return None
        response = body.get("response")
        return shapes.read_usage(body.get("usage") or (response.get("usage") if isinstance(response, dict) else None))

    def error_event(self, code: str, message: str, kind: str) -> bytes:
        """An error in the middle of a stream.

        As documented it has its members at the top; the API really sends them under ``error``, which is where SDKs see
        that it is one. How many events went before is not known here.
        """
        return shapes.error_event(0, code, message, kind)

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A whole answer that says ``text``."""
        return says.reply(text, model, request_id, created, refuses=refuses)

    def reply_stream(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """The same as a whole stream."""
        return says.reply_stream(text, model, request_id, created, refuses=refuses)

    def ending(self) -> Ending:
        """Follows one stream."""
        return Ending()

    def cut(self, body: Any, path: Path, text: str) -> Mapping[Path, bytes]:
        """The item ends in this text, and the answer with it; whatever comes after goes."""
        if path[:1] != ("output",) or len(path) < 3 or not isinstance(body["output"], list):
            return {path: dump(text)}
        return says.cut(body, path, text)


def _emptied(found: re.Match[bytes]) -> bytes:
    return b'"obfuscation":""' if found[1] else b'"sequence_number":0'
