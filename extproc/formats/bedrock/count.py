"""Bedrock's count of a request's tokens: a Converse request or the body of an InvokeModel, inside of an object.

Source: Amazon Bedrock API reference, ``CountTokens``. A body is base64 here: what it says is judged, but cannot be replaced.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, Final

from extproc.errors import DecodeError
from extproc.formats.base import Span
from extproc.formats.bedrock import texts
from extproc.formats.bedrock.converse import Converse
from extproc.formats.bedrock.texts import TEXTS
from extproc.formats.walk import Sourced
from extproc.framing.jsontext import dump, parse
from extproc.policy.api import Scope

_BODY: Final = Sourced(frozenset(), frozenset({"data", "bytes", "signature"}))


class CountTokens(Converse):
    """See ``formats.base.Format``."""

    name = "bedrock-count"
    codec = None

    def request_spans(self, body: dict[str, Any]) -> list[Span]:
        """Every text of a request."""
        found: list[Span] = []
        input_ = body.get("input")
        if not isinstance(input_, dict):
            TEXTS.value(body, (), Scope.USER, found)
            return found
        TEXTS.members(body, (), Scope.USER, found, but="input")
        TEXTS.names(input_, ("input",), Scope.USER, found)
        for key, value in input_.items():
            if key == "converse" and isinstance(value, dict):
                texts.request(value, ("input", key), found)
            elif (inner := _encoded(value)) is not None:
                TEXTS.members(value, ("input", key), Scope.USER, found, but="body")
                inside: list[Span] = []
                _BODY.value(inner, (), Scope.USER, inside)
                found += [Span(("input", key, "body"), Scope.USER, each.text, fixed=True) for each in inside]
            else:
                TEXTS.member(key, value, ("input",), Scope.USER, found)
        return found

    def unscanned(self, body: dict[str, Any]) -> list[str]:
        """Kinds of content blocks that are not text."""
        input_ = body.get("input")
        inner = input_.get("converse") if isinstance(input_, dict) else None
        return (
            texts.unscanned([inner.get("messages"), inner.get("system")], frozenset())
            if isinstance(inner, dict)
            else []
        )

    def reply(self, text: str, model: str, request_id: str, created: int, *, refuses: bool = False) -> bytes:
        """A count has no words: nothing was used."""
        return dump({"inputTokens": 0})


def _encoded(holder: Any) -> Any:
    """What a body says that is sent in base64; None where it says nothing."""
    body = holder.get("body") if isinstance(holder, dict) else None
    if not isinstance(body, str):
        return None
    try:
        return parse(b64decode(body, validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return None
