r"""Views: the text a policy should see behind the text that travels.

Owns: the view of JSON source text, as in the arguments of a tool call, whose deltas are pieces of a JSON document.
Inside its strings ``\n`` is a line break and ``\u0040`` an at sign; a rule that saw the source would take the ``n`` of
``\njohn@x.com`` for part of the address and, redacting it, leave a lone backslash behind. The view shows the decoded
characters and remembers how many source characters stand behind each, so that redaction never cuts an escape apart.
"""

from __future__ import annotations

from collections import deque
from string import hexdigits
from typing import Final

import orjson

from extproc.policy.scanner import Op

_SIMPLE: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class JsonView:
    """An incremental view of JSON source text. ``show`` pieces, then ``end``; ``hide`` turns operations back.

    Any text is accepted: what is not JSON is shown as it stands.
    """

    __slots__ = ("_high", "_inside", "_pending", "_shown")

    def __init__(self) -> None:
        self._inside = False  # inside a string
        self._pending = ""  # source of an escape that is not complete
        self._high = ""  # source of a high surrogate that waits for its other half
        self._shown: deque[tuple[int, bool]] = deque()  # for each character shown: source length, inside a string

    def show(self, source: str) -> str:
        """The characters that the next piece of source decides."""
        if not self._pending and not self._high and not self._inside and '"' not in source:
            self._shown.extend([(1, False)] * len(source))
            return source
        out: list[str] = []
        for char in source:
            if self._pending:
                self._escape(char, out)
            elif self._inside and char == "\\":
                self._pending = char
            else:
                self._flush_high(out)
                self._emit(char, 1, out)
                if char == '"':
                    self._inside = not self._inside
        return "".join(out)

    def end(self) -> str:
        """What was waiting for more source, shown as it stands."""
        out: list[str] = []
        self._flush_high(out)
        for char in self._pending:
            self._emit(char, 1, out)
        self._pending = ""
        return "".join(out)

    def hide(self, ops: list[Op]) -> list[Op]:
        """Operations on shown characters as operations on source; replacements become valid JSON where they land."""
        return [self._hide_one(op) for op in ops]

    def _hide_one(self, op: Op) -> Op:
        length, inside = self._shown.popleft()
        for _ in range(op.length - 1):
            length += self._shown.popleft()[0]
        if op.text is None:
            return Op(length)
        if not inside and op.text:
            return Op(length, "0")  # within a number, perhaps the middle of one: the one text that is valid there
        return Op(length, orjson.dumps(op.text).decode()[1:-1])

    def _emit(self, char: str, width: int, out: list[str]) -> None:
        out.append(char)
        self._shown.append((width, self._inside))

    def _flush_high(self, out: list[str]) -> None:
        if self._high:
            self._emit("\ufffd", len(self._high), out)
            self._high = ""

    def _escape(self, char: str, out: list[str]) -> None:
        self._pending += char
        if self._pending[1] != "u":
            source, self._pending = self._pending, ""
            self._flush_high(out)
            self._emit(_SIMPLE.get(char, char), len(source), out)
        elif len(self._pending) == 6:
            source, self._pending = self._pending, ""
            self._unicode(source, out)

    def _unicode(self, source: str, out: list[str]) -> None:
        if not all(char in hexdigits for char in source[2:]):
            self._flush_high(out)
            self._emit("\ufffd", len(source), out)
            return
        code = int(source[2:], 16)
        if self._high and 0xDC00 <= code < 0xE000:
            high, self._high = self._high, ""
            pair = 0x10000 + ((int(high[2:], 16) - 0xD800) << 10) + (code - 0xDC00)
            self._emit(chr(pair), len(high) + len(source), out)
            return
        self._flush_high(out)
        if 0xD800 <= code < 0xDC00:
            self._high = source
        else:
            self._emit("\ufffd" if 0xDC00 <= code < 0xE000 else chr(code), len(source), out)
