"""OpenAI's operations that are no conversations: embeddings, moderations, images, and whatever else is JSON.

Source: OpenAI API reference, "Embeddings", "Moderations", "Images" (with "Image generation streaming").
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from extproc.chat.answer import Usage
from extproc.formats.base import Delta, Span
from extproc.formats.openai import OpenAI
from extproc.formats.openai_chat.counts import read_usage
from extproc.formats.plain import STRUCTURE, Plain
from extproc.formats.walk import Walk

_ADDRESS: Final = re.compile(r"https://[A-Za-z0-9.-]{1,253}/[A-Za-z0-9._~/-]*(?:\?[A-Za-z0-9._~=&%:/+-]*)?")


def tokens(value: Any) -> list[str]:
    """``tokens`` where an input is a list of token numbers, or of such lists: nothing in it can be read."""
    if not isinstance(value, list):
        return []
    return ["tokens"] if any(isinstance(each, int | float | list) for each in value) else []


class OpenAIOther(OpenAI, Plain):
    """Any operation that nothing special is known of; see ``formats.base.Format``."""

    name = "openai-other"


class OpenAIEmbeddings(OpenAI, Plain):
    """See ``formats.base.Format``."""

    name = "openai-embeddings"
    texts: ClassVar[Walk] = Walk(STRUCTURE | {"encoding_format"}, frozenset({"embedding"}))

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Inputs may be token numbers."""
        return tokens(body.get("input"))

    def usage(self, body: Any) -> Usage | None:
        """Tokens used; an embedding is no output."""
        return read_usage(body)


class OpenAIModerations(OpenAI, Plain):
    """See ``formats.base.Format``."""

    name = "openai-moderations"
    texts: ClassVar[Walk] = Walk(STRUCTURE, frozenset({"url"}))

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Inputs may be pictures."""
        given = body.get("input")
        parts = given if isinstance(given, list) else []
        pictures = any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)
        return ["image"] if pictures else []


class OpenAIImages(OpenAI, Plain):
    """Making and editing pictures, whole and streamed; see ``formats.base.Format``."""

    name = "openai-images"
    texts: ClassVar[Walk] = Walk(
        STRUCTURE
        | {
            "size",
            "quality",
            "background",
            "output_format",
            "response_format",
            "style",
            "moderation",
            "input_fidelity",
        },
        frozenset({"b64_json", "url", "image_url"}),
    )

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Pictures to go by."""
        return ["image"] if any(body.get(name) for name in ("image", "images", "mask")) else []

    def response_spans(self, body: Any) -> list[Span]:
        """Every text of a whole answer, event or error, but for the addresses that pictures are fetched from."""
        return [span for span in super().response_spans(body) if not _fetched(span)]

    def delta(self, event: Any) -> Delta:
        """Every text of a stream's event; the last one has the whole picture."""
        delta = super().delta(event)
        kind = event.get("type") if isinstance(event, dict) else None
        delta.final = isinstance(kind, str) and kind.endswith(".completed")
        return delta

    def usage(self, body: Any) -> Usage | None:
        """Tokens used, which images have under names of their own."""
        usage = body.get("usage") if isinstance(body, dict) else None
        if not isinstance(usage, dict):
            return None
        details = usage.get("input_tokens_details")
        return read_usage(
            {
                "usage": {
                    "prompt_tokens": usage.get("input_tokens"),
                    "completion_tokens": usage.get("output_tokens"),
                    "prompt_tokens_details": details,
                }
            }
        )


def _fetched(span: Span) -> bool:
    """Whether this is the address of a picture; a word in it that a rule changed would make it useless."""
    at = span.path
    return len(at) == 3 and at[0] == "data" and at[2] == "url" and _ADDRESS.fullmatch(span.text) is not None
