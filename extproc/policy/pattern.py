r"""Regular expressions whose matches have a bounded width, and what a stream needs to know about them.

Owns: the reading of RE2 syntax into a small tree, the width of a match, and the *prefix expression*: an expression that
matches exactly the texts which some continuation could still turn into a match. Knows nothing of windows or policies.

Theory. Let L be the set of texts a pattern matches, P(L) all their prefixes. A stream may release a character once no
match can begin at it any more, that is once the text from there to the end of what has arrived is not in P(L). With
``P(ab) = P(a) | a P(b)``, ``P(a|b) = P(a) | P(b)``, ``P(a{m,n}) = a{0,n-1} P(a)``, ``P(x) = x?`` for one character and
``P(assertion) = empty`` (what follows is not known yet, so every assertion at the end may still hold) P(L) is regular
again, and one RE2 search for ``P(L)\z`` gives the leftmost place where a match may be under way, in linear time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_WIDTH: Final = 4096
"""No rule may be wider, in characters: it is also the most that a stream can be held back."""

_NEST_MAX: Final = 50
_REPEAT: Final = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_ASSERTIONS: Final = frozenset("bBAz")
_CLASS_ESCAPES: Final = frozenset("dDwWsSC")
_FLAGS: Final = re.compile(r"\(\?([imsU]*(?:-[imsU]+)?)([:)])")
_POSIX: Final = re.compile(r"\[:\^?[a-z]+:\]")
_NAMED: Final = re.compile(r"\(\?P?<[A-Za-z_]\w*>")


class PatternError(ValueError):
    """A pattern that cannot be used; the text says why and what to write instead."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a pattern: its source, the source of its prefix expression, its width, and whether it is one atom."""

    source: str
    prefix: str
    low: int
    high: int
    atom: bool = False


_EMPTY: Final = Node("", "", 0, 0)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A pattern of bounded width.

    ``source`` is RE2 syntax without captures, ``prefix`` matches every possible beginning of a match (to be anchored at
    the end of the text), ``width`` is the longest match in characters.
    """

    source: str
    prefix: str
    width: int


def parse(pattern: str, *, ignore_case: bool = False) -> Bounded:
    """Read an RE2 pattern.

    Raises:
        PatternError: not RE2 syntax, matches nothing or the empty text, or has no bounded width.
    """
    reader = _Reader(pattern)
    node = reader.alternation(0)
    if reader.at < len(pattern):
        raise PatternError("unbalanced ')'")
    if node.low == 0:
        raise PatternError("matches the empty text")
    if node.high > MAX_WIDTH:
        raise PatternError(f"a match could be {node.high} characters wide; at most {MAX_WIDTH} are allowed")
    flags = "(?i)" if ignore_case else ""
    return Bounded(f"{flags}(?:{node.source})", f"{flags}(?:{node.prefix})", node.high)


def union(patterns: list[Bounded]) -> Bounded:
    """One expression for "any of these"; flags stay with the part they were written in."""
    return Bounded(
        "|".join(f"(?:{each.source})" for each in patterns),
        "|".join(f"(?:{each.prefix})" for each in patterns),
        max((each.width for each in patterns), default=0),
    )


def _concat(left: Node, right: Node) -> Node:
    if left is _EMPTY:
        return right
    if right is _EMPTY:
        return left
    prefix = left.prefix
    continued = left.source + _group(right.prefix) if right.prefix else left.source
    prefix = f"{_group(prefix)}|{continued}" if prefix else continued
    return Node(left.source + right.source, prefix, left.low + right.low, left.high + right.high)


def _sequence(nodes: list[Node]) -> Node:
    # from the right, so that every part of the source stands once in the prefix: P(a(b(c)))
    result = _EMPTY
    for node in reversed(nodes):
        result = _concat(node, result)
    return result


def _group(source: str) -> str:
    return f"(?:{source})"


def _repeat(node: Node, low: int, high: int, lazy: str) -> Node:
    if high == 0:
        return Node("(?:)", "", 0, 0, atom=True)
    body = node.source if node.atom else _group(node.source)
    before = "" if high == 1 else f"{body}{{0,{high - 1}}}"
    return Node(
        f"{body}{{{low},{high}}}{lazy}", f"{before}{_group(node.prefix)}", node.low * low, node.high * high, atom=False
    )


class _Reader:
    """Recursive descent over RE2 syntax; keeps the source of atoms as written, so that their meaning stays RE2's."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    def alternation(self, depth: int) -> Node:
        flags: list[str] = []  # set on the way: they hold to the end of the group, in later branches too
        branches = [self._branch(depth, flags)]
        while self._peek() == "|":
            self.at += 1
            before = flags[::-1]
            branch = self._branch(depth, flags)
            for each in before:
                branch = _flagged(branch, each)
            branches.append(branch)
        if len(branches) == 1:
            return branches[0]
        return Node(
            _group("|".join(branch.source for branch in branches)),
            _group("|".join(branch.prefix for branch in branches)),
            min(branch.low for branch in branches),
            max(branch.high for branch in branches),
            atom=True,
        )

    def _branch(self, depth: int, flags: list[str]) -> Node:
        if depth > _NEST_MAX:
            raise PatternError(f"nested deeper than {_NEST_MAX}")
        nodes: list[Node] = []
        while (char := self._peek()) not in ("", "|", ")"):
            inline = _FLAGS.match(self.pattern, self.at)
            if inline and inline[2] == ")":  # (?i) holds to the end of the group
                self.at = inline.end()
                flags.append(inline[1])
                nodes.append(_flagged(self._branch(depth + 1, flags), inline[1]))
                break
            nodes.append(self._quantified(self._atom(char, depth)))
        return _sequence(nodes)

    def _peek(self) -> str:
        return self.pattern[self.at] if self.at < len(self.pattern) else ""

    def _atom(self, char: str, depth: int) -> Node:
        if char == "(":
            return self._parenthesis(depth)
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char in "*+?":
            raise PatternError(f"nothing to repeat before '{char}'")
        self.at += 1
        if char in "^$":
            return Node(char, "", 0, 0, atom=True)
        return _one(char)

    def _parenthesis(self, depth: int) -> Node:
        flags = _FLAGS.match(self.pattern, self.at)
        named = _NAMED.match(self.pattern, self.at)
        if flags:
            self.at = flags.end()
        elif named:
            self.at = named.end()
        elif self.pattern.startswith("(?", self.at):
            raise PatternError("look-around, back-references and conditions do not exist in RE2 (linear time)")
        else:
            self.at += 1
        inner = self.alternation(depth + 1)
        if self._peek() != ")":
            raise PatternError("missing ')'")
        self.at += 1
        if flags and flags[1]:
            return _flagged(inner, flags[1])
        return Node(_group(inner.source), _group(inner.prefix), inner.low, inner.high, atom=True)

    def _class(self) -> Node:
        start = self.at
        self.at += 1
        if self._peek() == "^":
            self.at += 1
        first = True
        while (char := self._peek()) != "]" or first:
            if not char:
                raise PatternError("missing ']'")
            first = False
            if self.pattern.startswith("[:", self.at):
                posix = _POSIX.match(self.pattern, self.at)
                if not posix:  # what RE2 makes of it depends on what follows
                    raise PatternError(r"'[:' begins a POSIX class like [:alpha:]: write '\[:' for the characters")
                self.at = posix.end()
            elif char == "\\":
                self._escape()
            else:
                self.at += 1
        self.at += 1
        return _one(self.pattern[start : self.at])

    def _escape(self) -> Node:
        start = self.at
        self.at += 1
        char = self._peek()
        self.at += 1
        if char == "":
            raise PatternError("ends in a backslash")
        if char in _ASSERTIONS:
            return Node("\\" + char, "", 0, 0, atom=True)
        if char == "C":
            raise PatternError(r"\C (one byte) would cut characters apart")
        if char == "Q":
            raise PatternError(r"\Q…\E is not supported: escape the characters one by one")
        if char.isdigit() and char != "0":
            raise PatternError("back-references do not exist in RE2 (linear time)")
        if char in "pP" and self._peek() == "{":
            self._until("}")
        elif char in "pP":
            self.at += 1
        elif char == "x" and self._peek() == "{":
            self._until("}")
        elif char == "x":
            self.at += 2
        elif char == "0":
            while self._peek() in tuple("01234567") and self.at - start < 4:
                self.at += 1
        return _one(self.pattern[start : self.at])

    def _until(self, close: str) -> None:
        end = self.pattern.find(close, self.at)
        if end < 0:
            raise PatternError(f"missing '{close}'")
        self.at = end + 1

    def _quantified(self, node: Node) -> Node:
        count = 0
        while True:
            char = self._peek()
            repeat = _REPEAT.match(self.pattern, self.at) if char == "{" else None
            if char == "?":
                self.at += 1
                low, high = 0, 1
            elif char and char in "*+":
                raise PatternError(
                    f"'{char}' has no bound, so a stream could be held back for ever: write {{0,20}} or {{1,20}}"
                )
            elif repeat:
                self.at = repeat.end()
                low, high = _bounds(repeat)
            else:
                return node
            count += 1
            if count > 1:
                raise PatternError("a repetition of a repetition: put the inner one in parentheses")
            lazy = ""
            if self._peek() == "?":
                self.at += 1
                lazy = "?"
            node = _repeat(node, low, high, lazy)


def _bounds(match: re.Match[str]) -> tuple[int, int]:
    low = int(match[1])
    if match[2] and not match[3]:
        raise PatternError(f"'{match[0]}' has no upper bound: write {{{low},{low + 20}}}")
    high = int(match[3]) if match[3] else low
    if high < low or high > 1000:
        raise PatternError(f"'{match[0]}' is not a repetition RE2 accepts (0 to 1000, low before high)")
    return low, high


def _one(source: str) -> Node:
    return Node(source, f"{source}?", 1, 1, atom=True)


def _flagged(node: Node, flags: str) -> Node:
    return Node(f"(?{flags}:{node.source})", f"(?{flags}:{node.prefix})", node.low, node.high, atom=True)
