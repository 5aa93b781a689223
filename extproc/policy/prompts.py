"""The conversation of a request, whatever its format: what was said last, and the operator's words put into it."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

from extproc.framing.jsonedit import INSERT_FIRST, INSERT_LAST, REMOVED, EditPath, Insert
from extproc.policy.fields import PROMPTS, Shape, at, place, plain

_OPERATOR: Final = frozenset({"system", "developer"})
_TEXT: Final = ("text", "content", "parts")


def text_of(value: Any) -> str:
    """The words of a message, however it is written: a text, parts, nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text_of, value))
    if isinstance(value, dict):
        return next((text_of(value[key]) for key in _TEXT if value.get(key)), "")
    return ""


def _said(body: dict[str, Any]) -> list[Any]:
    """Messages and prompts, in order."""
    found: list[Any] = []
    for key, value in body.items():
        if plain(key) in PROMPTS:
            found += value if isinstance(value, list) else [value]
    return found


def last_user(body: dict[str, Any]) -> str:
    """The user's last message; a prompt without roles is the user's."""
    for each in reversed(_said(body)):
        if isinstance(each, str) or (isinstance(each, dict) and plain(each.get("role", "user")) == "user"):
            return text_of(each)
    return ""


def whole_prompt(body: dict[str, Any]) -> str:
    """All that was said, by whomever, a line each."""
    return "\n".join(filter(None, map(text_of, _said(body))))


def _by_operator(message: Any) -> bool:
    return isinstance(message, dict) and plain(message.get("role")) in _OPERATOR


def system_edits(
    body: dict[str, Any], shape: Shape, *, before: str = "", after: str = "", instead: str = ""
) -> dict[EditPath, Any]:
    """Edits that put words before and after those of the system prompt, or in the place of all of them.

    Raises:
        ValueError: the body has no place for them.
    """
    edits: dict[EditPath, Any] = _without_operators(body) if instead else {}
    if shape.system == "messages":
        return edits | _messages(body.get("messages"), before or instead, after)
    path = place(body, (shape.system,), shape)
    old = at(body, path)
    texts = [each for each in (before or instead, after) if each]
    if instead or not old or not isinstance(old, (str, list, dict)):
        return edits | {path: _fresh(shape, "\n\n".join(texts))}
    if isinstance(old, str):
        return {path: "\n\n".join(filter(None, (before, old, after)))}
    if isinstance(old, dict):
        path = place(body, (*path, "parts"), shape)
        parts = at(body, path)
        if not isinstance(parts, list):
            return {path: [*_part(shape, before), *([parts] if parts else []), *_part(shape, after)]}
    around = ((INSERT_FIRST, before), (INSERT_LAST, after))
    return {(*path, where): part for where, text in around for part in _part(shape, text)}


def _messages(messages: Any, before: str, after: str) -> dict[EditPath, Any]:
    if not isinstance(messages, list):
        raise ValueError("there are no messages")
    lead = next((index for index, each in enumerate(messages) if not _by_operator(each)), len(messages))
    texts = [(0, before), (lead, after)] if lead else [(0, "\n\n".join(filter(None, (before, after))))]
    return {("messages", Insert(where)): {"role": "system", "content": text} for where, text in texts if text}


def _without_operators(body: dict[str, Any]) -> dict[EditPath, Any]:
    return {
        (key, index): REMOVED
        for key, value in body.items()
        if plain(key) in PROMPTS and isinstance(value, list)
        for index, message in enumerate(value)
        if _by_operator(message)
    }


def _part(shape: Shape, text: str) -> list[dict[str, str]]:
    if not text:
        return []
    return [{"type": "text", "text": text} if shape.text == "typed" else {"text": text}]


def _fresh(shape: Shape, text: str) -> Any:
    if shape.text in ("plain", "typed"):
        return text
    return {"parts": _part(shape, text)} if shape.text == "parts" else _part(shape, text)


_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")  # noqa: RUF001
_TAG: Final = re.compile(r"\{(model|operation|date)\}")


def sentences(text: str) -> list[str]:
    """A text cut after its sentences and lines."""
    return [each.strip() for each in _SENTENCE.split(text)]


def normalised(text: str) -> str:
    """A text without case, punctuation, compatibility forms, invisible characters and more than single blanks."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(
        "".join(char for char in folded if char.isspace() or unicodedata.category(char)[0] not in "PC").split()
    )


def filled(template: str, **values: str) -> str:
    """A template with ``{model}``, ``{operation}`` and ``{date}`` filled in; all other braces stay."""
    return _TAG.sub(lambda tag: values[tag[1]], template)
