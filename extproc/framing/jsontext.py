"""JSON text: a strict reader, and edits in place that leave every other byte as it was.

Owns: what counts as acceptable JSON (RFC 8259, and no more than one reading of it: no duplicate keys, no NaN, no lone
surrogates, a depth bound) and the splicing of new values into the original bytes, so that numbers, escapes, white space
and unknown fields of a body survive when one string in it is redacted.
"""

from __future__ import annotations

import json  # noqa: TID251  the one place: duplicate keys need its pairs hook
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from extproc.errors import DecodeError
from extproc.framing.jsonedit import REMOVED as REMOVED
from extproc.framing.jsonedit import TOKENS
from extproc.framing.jsonedit import edit as edit
from extproc.framing.jsonedit import edited as edited

Path = tuple[str | int, ...]

MAX_DEPTH: Final = 128
MAX_VALUES: Final = 1_000_000
"""Values in one text. Each takes some hundred bytes and a microsecond once it is parsed, however short its source."""

_KEYS: Final = re.compile(rb'"[ \t\r\n]*:')
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def parse(raw: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        DecodeError: not JSON, or JSON that two readers could take differently. Never quotes the text.
    """
    if raw.count(b",") >= MAX_VALUES and _STRINGS.sub(b"", raw).count(b",") >= MAX_VALUES:
        raise DecodeError(f"more than {MAX_VALUES} values")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise DecodeError(_reason(error)) from None
    # Nothing is nested deeper than it has brackets.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _too_deep(value):
        raise DecodeError(f"nested deeper than {MAX_DEPTH}")
    # A text that is exactly what its value is written as has no key twice: no value has. Most bodies are.
    if orjson.dumps(value) != raw:
        # Every key is followed by a colon, so more candidates than keys means duplicates, or a '":' inside a string.
        keys = _keys(value)
        if keys and len(_KEYS.findall(raw)) != keys:
            _refuse_duplicates(raw)
    return value


def _reason(error: orjson.JSONDecodeError) -> str:
    return f"not valid JSON at line {error.lineno} column {error.colno}"


def _too_deep(value: Any) -> bool:
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        level = _containers(level)
        if not level:
            return False
    return True


def _keys(value: Any) -> int:
    """Number of keys of all objects of a value."""
    keys = 0
    level: list[Any] = [[value]]
    while level := _containers(level):
        keys += sum([len(node) for node in level if isinstance(node, dict)])
    return keys


def _containers(level: list[Any]) -> list[Any]:
    """The objects and arrays one level below."""
    return [child for node in level if node for child in _members(node) if isinstance(child, (dict, list))]


def _members(node: Any) -> Iterable[Any]:
    return node.values() if isinstance(node, dict) else node


def _refuse_duplicates(raw: bytes) -> None:
    def pairs(items: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in items}) != len(items):
            raise DecodeError("an object has the same key twice")

    json.loads(raw, object_pairs_hook=pairs)


def dump(value: Any) -> bytes:
    """Compact JSON."""
    return orjson.dumps(value)


def replace(raw: bytes, values: Mapping[Path, bytes]) -> bytes:
    """Put new JSON values (as text) in the place of those at the given paths; all other bytes stay.

    ``raw`` must have passed ``parse``. Paths that are not there are ignored; a path may not lie inside another.
    """
    spans = sorted(_spans(raw, values))
    parts: list[bytes] = []
    at = 0
    for start, end, path in spans:
        parts += (raw[at:start], values[path])
        at = end
    parts.append(raw[at:])
    return b"".join(parts)


def set_member(raw: bytes, key: str, value: bytes) -> bytes:
    """Set a member of the top-level object, adding it at the front where it is missing."""
    if any(True for _ in _spans(raw, {(key,): value})):
        return replace(raw, {(key,): value})
    at = raw.index(b"{") + 1
    empty = raw[at:].lstrip().startswith(b"}")
    return raw[:at] + orjson.dumps(key) + b":" + value + (b"" if empty else b",") + raw[at:]


def _spans(raw: bytes, wanted: Mapping[Path, bytes]) -> list[tuple[int, int, Path]]:
    """(start, end, path) of each wanted value."""
    found: list[tuple[int, int, Path]] = []
    path: list[str | int] = []  # of the value that comes next or is open
    starts: list[int] = []  # where the open containers began
    key = False  # the next string is an object's key
    for token in TOKENS.finditer(raw):
        char = raw[token.start()]
        if char in b"{[":
            starts.append(token.start())
            path.append(0 if char == 0x5B else "")
            key = char == 0x7B
        elif char in b"}]":
            path.pop()
            key = False  # it still is after an empty object
            _note(found, path, starts.pop(), token.end(), wanted)
        elif char == 0x2C:  # comma
            last = path[-1]
            if isinstance(last, int):
                path[-1] = last + 1
            else:
                key = True
        elif char == 0x3A:  # colon
            key = False
        elif key:
            text = token.group()
            path[-1] = orjson.loads(text) if b"\\" in text else text[1:-1].decode()
        else:
            _note(found, path, token.start(), token.end(), wanted)
    return found


def _note(
    found: list[tuple[int, int, Path]], path: list[str | int], start: int, end: int, wanted: Mapping[Path, bytes]
) -> None:
    here = tuple(path)
    if here in wanted:
        found.append((start, end, here))


def dump_pretty(value: Any) -> str:
    """Indented JSON, for people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
