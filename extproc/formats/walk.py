"""Finding the texts in JSON by default: every string is one, except those known to be structure.

Formats name what they know; whatever they do not know is text. So a field a provider adds tomorrow is inspected, not
passed over. Names of members are texts as well, unless they look like names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from extproc.errors import LimitExceeded
from extproc.formats.base import Span
from extproc.framing.jsontext import Path
from extproc.policy.api import Scope

_TOKEN: Final = re.compile(r"[A-Za-z0-9_.:/+=-]{0,256}", re.ASCII)
_DATA_URL: Final = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/_-]*={0,2}", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}", re.ASCII)

_SHORT: Final = 64
MAX_TEXTS: Final = 20_000
"""Texts of one body. Each costs some microseconds however short it is."""


def structural(value: str) -> bool:
    """Whether a string under a structural name is what such names hold: one short token, no prose."""
    return _remembered(value) if len(value) <= _SHORT else _TOKEN.fullmatch(value) is not None


@lru_cache(1024)
def _remembered(value: str) -> bool:
    """The same; every event of a stream repeats the ids, names and types of the one before."""
    return _TOKEN.fullmatch(value) is not None


def binary(value: str) -> bool:
    """Whether a string is encoded binary data (an image, a file, sound), not text."""
    return (_DATA_URL if value.startswith("data:") else _BASE64).fullmatch(value) is not None


_known: Final[set[str]] = set()
_KNOWN_MAX: Final = 4096
are_known: Final = _known.issuperset
"""Whether all of an object's names have been seen before and look like names: nearly always, and fast to ask."""


def _odd(names: Iterable[str]) -> list[str]:
    """Those that do not look like names; the others are known from now on."""
    found = [name for name in names if not structural(name)]
    if len(_known) > _KNOWN_MAX:
        _known.clear()
    _known.update(name for name in names if len(name) <= _SHORT and structural(name))
    return found


class Walk:
    """Finds the texts in JSON values.

    Args:
        skip: names whose strings are structure when they look like it.
        blobs: names whose strings may be binary data.
    """

    __slots__ = ("_blobs", "_skip")

    def __init__(self, skip: frozenset[str], blobs: frozenset[str]) -> None:
        self._skip = skip
        self._blobs = blobs

    def value(self, value: Any, path: Path, scope: Scope, found: list[Span]) -> None:
        """Add every text of a value that stands at ``path``; ``scope`` says whose words they are.

        Raises:
            LimitExceeded: there are more than anybody needs.
        """
        name = next((key for key in reversed(path) if isinstance(key, str)), "")
        self._value(value, path, name, scope, found)

    def member(self, name: str, value: Any, path: Path, scope: Scope, found: list[Span]) -> None:
        """The same for the member ``name`` of the object at ``path``."""
        if type(value) is str:
            if self.is_text(value, name):
                found.append(Span((*path, name), scope, value, name == "arguments"))
        elif value and type(value) in _HOLDERS:
            self._value(value, (*path, name), name, scope, found)

    def names(self, value: dict[str, Any], path: Path, scope: Scope, found: list[Span]) -> None:
        """Add the names of an object's members that could say something."""
        if not are_known(value):
            found += [Span((*path, name), scope, name, fixed=True) for name in _odd(value)]

    def members(
        self, value: dict[str, Any], path: Path, scope: Scope, found: list[Span], but: str | None = None
    ) -> None:
        """The same for all members of an object, except one."""
        skip = self._skip
        if not are_known(value):
            self.names(value, path, scope, found)
        for name, child in value.items():
            if not child or name == but or (name in skip and type(child) is str and structural(child)):
                continue  # settled here, because most members of most events are structure
            self.member(name, child, path, scope, found)

    def is_text(self, value: str, name: str) -> bool:
        """Whether the string of this name is a text: not empty, structure or binary data."""
        if name in self._skip:
            return not structural(value)
        return bool(value) and not (name in self._blobs and binary(value))

    def _value(self, value: Any, path: Path, name: str, scope: Scope, found: list[Span]) -> None:
        if isinstance(value, str):
            if self.is_text(value, name):
                found.append(Span(path, scope, value, name == "arguments"))
        elif isinstance(value, dict):
            self.members(value, path, scope, found)
        elif isinstance(value, list):
            for index, child in enumerate(value):
                if child and type(child) in _HOLDERS:
                    self._value(child, (*path, index), name, scope, found)
                    if len(found) > MAX_TEXTS:
                        raise LimitExceeded(f"it has more than {MAX_TEXTS} texts")


class Sourced(Walk):
    """The same for what has Anthropic's sources: one of plain text brings its words under the name of binary ``data``."""

    __slots__ = ("_plain",)

    def __init__(self, skip: frozenset[str], blobs: frozenset[str]) -> None:
        super().__init__(skip, blobs)
        self._plain = Walk(skip, blobs - {"data"})

    def members(
        self, value: dict[str, Any], path: Path, scope: Scope, found: list[Span], but: str | None = None
    ) -> None:
        """See ``Walk``."""
        if "data" in value and value.get("type", _BINARY[0]) not in _BINARY:
            self._plain.members(value, path, scope, found, but)
        else:
            super().members(value, path, scope, found, but)


_BINARY: Final = ("base64", "redacted_thinking")
"""Types of what has binary ``data``."""

_HOLDERS: Final[frozenset[type]] = frozenset({str, dict, list})
"""What a text can be, or be in; everything else is passed over before a path is made for it."""
