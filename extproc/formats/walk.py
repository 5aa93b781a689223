"""Finding the texts in JSON by default: every string is one, except those known to be structure.

Formats name what they know; whatever they do not know is text. So a field a provider adds tomorrow is inspected, not
passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from extproc.formats.base import Span
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

_TOKEN: Final = re.compile(r"[A-Za-z0-9_.:/+=-]{0,256}", re.ASCII)
_DATA_URL: Final = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/_-]*={0,2}", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}", re.ASCII)


def structural(value: str) -> bool:
    """Whether a string under a structural name is what such names hold: one short token, no prose."""
    return _TOKEN.fullmatch(value) is not None


def binary(value: str) -> bool:
    """Whether a string is encoded binary data (an image, a file, sound), not text."""
    return (_DATA_URL if value.startswith("data:") else _BASE64).fullmatch(value) is not None


def walk(value: Any, path: Path, scope: Scope, skip: frozenset[str], blobs: frozenset[str]) -> Iterator[Span]:
    """Every text below ``value``.

    Args:
        value: a JSON value.
        path: where it stands.
        scope: whose words its texts are.
        skip: names whose strings are structure when they look like it.
        blobs: names whose strings may be binary data.
    """
    if isinstance(value, str):
        yield from string(value, path, scope, skip, blobs)
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from walk(child, (*path, key), scope, skip, blobs)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from walk(child, (*path, index), scope, skip, blobs)


def string(value: str, path: Path, scope: Scope, skip: frozenset[str], blobs: frozenset[str]) -> Iterator[Span]:
    """The span of one string, unless it is empty, structure or binary data."""
    name = next((key for key in reversed(path) if isinstance(key, str)), "")
    if not value or (name in skip and structural(value)) or (name in blobs and binary(value)):
        return
    yield Span(path, scope, value, json=name == "arguments")
