"""Names and globs: ``*`` stands for any characters, ``?`` for one. Nothing else is special; a name matches as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import re2

from extproc.policy.rules import compile_re2, escape

_WILD: Final = re.compile(r"([*?])")
_ANCHOR: Final = re2._re2.RE2.Anchor.ANCHOR_BOTH


class Globs:
    """A list of names and globs, compiled.

    Args:
        patterns: names and globs.
        ignore_case: compare without case, and without blanks around a name.
    """

    __slots__ = ("_any", "_ignore_case", "_names")

    def __init__(self, patterns: Iterable[str], *, ignore_case: bool = False) -> None:
        listed = [_folded(each) if ignore_case else each for each in patterns]
        self._ignore_case = ignore_case
        self._names = frozenset(each for each in listed if not _WILD.search(each))
        wild = [_source(each) for each in listed if each not in self._names]
        self._any = compile_re2("(?s:" + "|".join(wild) + ")")._regexp.Match if wild else None

    def __bool__(self) -> bool:
        return bool(self._names) or self._any is not None

    def __contains__(self, name: str) -> bool:
        name = _folded(name) if self._ignore_case else name
        if name in self._names:
            return True
        if self._any is None:
            return False
        text = name.encode("utf-8", "surrogatepass")
        begin: int = self._any(_ANCHOR, text, 0, len(text))[0][0]
        return begin >= 0


def _folded(name: str) -> str:
    return name.strip().casefold()


def _source(glob: str) -> str:
    signs = {"*": ".*", "?": "."}
    return "".join(signs.get(part) or escape(part) for part in _WILD.split(glob))
