"""Edits of JSON: values set, members added, elements inserted, either removed; in the text or in the parsed value.

Owns: what a set of edits means. ``edit`` splices the text and leaves every byte of the rest as it was; ``edited`` does
the same to the value, and ``parse(edit(raw, e)) == edited(parse(raw), e)`` always. Both cost time linear in the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import orjson

TOKENS: Final = re.compile(rb'[{}\[\],:]|"(?:[^"\\]++|\\.)*+"|[^\s{}\[\],:"]++', re.DOTALL)
"""The tokens of a text that ``jsontext.parse`` accepted."""


@dataclass(frozen=True, slots=True)
class Insert:
    """A place in an array, as the last step of a path: before the element ``at``; None: after the last."""

    at: int | None


class Gone(Enum):
    """The value of an edit that removes."""

    REMOVED = "removed"


REMOVED: Final = Gone.REMOVED
INSERT_FIRST: Final = Insert(0)
INSERT_LAST: Final = Insert(None)

Step = str | int | Insert
EditPath = tuple[Step, ...]
Edits = Mapping[EditPath, Any]
"""New JSON values, or ``REMOVED``, by path. Positions are those before the edits; no path may lie inside another.

Setting a member that is missing adds it, and the objects around it that are missing or null. Removing what is missing
does nothing.
"""

_Tree = dict[Step, Any]  # by step: a subtree, or the new value as a tuple of one


def _tree(edits: Edits) -> _Tree:
    root: _Tree = {}
    for path, value in edits.items():
        node = root
        for step in path[:-1]:
            node = node.setdefault(step, {})
            if isinstance(node, tuple) or isinstance(step, Insert):
                raise ValueError("an edit lies inside another")
        if not path or path[-1] in node:
            raise ValueError("an edit lies inside another")
        node[path[-1]] = (value,)
    return root


def _made(tree: _Tree) -> dict[str, Any]:
    """The object that edits make where there was none."""
    made: dict[str, Any] = {}
    for step, child in tree.items():
        if not isinstance(step, str):
            raise ValueError("there is no array at the place of an edit")
        value = child[0] if isinstance(child, tuple) else _made(child) or REMOVED
        if value is not REMOVED:
            made[step] = value
    return made


def _check(step: Step, child: Any, size: int | None) -> None:
    """Whether an edit can be made in an array of this size, or (None) in an object."""
    if (size is None) is not isinstance(step, str):
        raise ValueError("an edit does not fit what is at its place")
    if isinstance(step, int) and not 0 <= step < (size or 0) and child != (REMOVED,):
        raise ValueError("an edit is beyond the end of its array")


# the parsed value


def edited(value: Any, edits: Edits) -> Any:
    """The value after the edits; what they do not touch is shared with the one before, which stays as it was.

    Raises:
        ValueError: an edit does not fit (an array's element that is not there, a member of a number).
    """
    return _value(value, _tree(edits)) if edits else value


def _value(value: Any, tree: _Tree) -> Any:
    if isinstance(value, dict):
        return _object(value, tree)
    if isinstance(value, list):
        return _array(value, tree)
    raise ValueError("an edit does not fit what is at its place")


def _object(value: dict[str, Any], tree: _Tree) -> dict[str, Any]:
    changed: dict[str, Any] = dict(value)
    for step, child in tree.items():
        _check(step, child, None)
        key = str(step)
        changed[key] = _child(value.get(key), child, None if key in value else REMOVED)
        if changed[key] is REMOVED:
            del changed[key]
    return changed


def _child(old: Any, child: Any, nothing: Any) -> Any:
    """What becomes of ``old``; where there is only null, ``nothing`` if nothing is added to it."""
    if isinstance(child, tuple):
        return child[0]
    return _value(old, child) if old is not None else _made(child) or nothing


def _array(value: list[Any], tree: _Tree) -> list[Any]:
    changed = list(value)
    for step, child in tree.items():
        _check(step, child, len(value))
        if isinstance(step, int) and 0 <= step < len(value):
            changed[step] = _child(value[step], child, None)
    for at, new in reversed(_inserts(tree, len(value))):
        changed.insert(at, new)
    return [each for each in changed if each is not REMOVED]


def _inserts(tree: _Tree, size: int) -> list[tuple[int, Any]]:
    """(position, value) of what is inserted, in order."""
    places = [
        (size if step.at is None else min(step.at, size), child[0])
        for step, child in tree.items()
        if isinstance(step, Insert)
    ]
    return sorted(places, key=lambda place: place[0])


# the text


@dataclass(slots=True)
class _Holder:
    """An object or array that is edited: where it opens, and (begin with its key, start, end) of what is in it."""

    open: int
    array: bool
    members: dict[str | int, tuple[int, int, int]] = field(default_factory=dict)


_Splices = list[tuple[int, int, bytes]]  # from, to, what stands there instead; in this order


def edit(raw: bytes, edits: Edits) -> bytes:
    """The text after the edits; no other byte changes. ``raw`` must have passed ``jsontext.parse``.

    Raises:
        ValueError: an edit does not fit (an array's element that is not there, a member of a number).
    """
    if not edits:
        return raw
    tree = _tree(edits)
    splices: _Splices = []
    _splice(raw, _holders(raw, {path[:depth] for path in edits for depth in range(len(path))}), (), tree, splices)
    parts: list[bytes] = []
    at = 0
    for start, end, new in sorted(splices, key=lambda splice: splice[:2]):
        parts += (raw[at:start], new)
        at = end
    return b"".join([*parts, raw[at:]])


def _splice(raw: bytes, holders: dict[EditPath, _Holder], path: EditPath, tree: _Tree, splices: _Splices) -> None:
    holder = holders.get(path)
    if holder is None:
        raise ValueError("an edit does not fit what is at its place")
    removed: set[str | int] = set()
    added: list[bytes] = []
    for step, child in tree.items():
        _check(step, child, len(holder.members) if holder.array else None)
        if isinstance(step, Insert):
            continue
        member = holder.members.get(step)
        value = child
        if isinstance(child, dict):
            if member and raw[member[1] : member[2]] != b"null":
                _splice(raw, holders, (*path, step), child, splices)
                continue
            value = (_made(child) or REMOVED,)
        if value[0] is REMOVED:
            if member and value is child:
                removed.add(step)
        elif member:
            splices.append((member[1], member[2], orjson.dumps(value[0])))
        else:
            added.append(orjson.dumps(step) + b":" + orjson.dumps(value[0]))
    inserts = [(at, orjson.dumps(new)) for at, new in _inserts(tree, len(holder.members))]
    splices += _structure(holder, removed, inserts or [(len(holder.members), new) for new in added])


def _structure(holder: _Holder, removed: set[str | int], added: list[tuple[int, bytes]]) -> _Splices:
    """Members that go and come, with the commas between them. ``added`` are (position, text), in order."""
    if not removed and not added:
        return []
    members = list(holder.members.items())
    stays = [step not in removed for step, _ in members]
    splices: _Splices = []
    first = stays.index(True) if True in stays else len(stays)
    for index, (_, (begin, _, end)) in enumerate(members):
        if stays[index]:
            continue
        if index > first:
            splices.append((members[index - 1][1][2], end, b""))
        else:
            splices.append((begin, members[index + 1][1][0] if index + 1 < len(members) else end, b""))
    last: list[bytes] = []
    for at, new in added:
        after = next((index for index in range(at, len(members)) if stays[index]), None)
        if after is None:
            last.append(new)
        else:
            begin = members[after][1][0]
            splices.append((begin, begin, new + b","))
    if last:
        place = members[-1][1][2] if members else holder.open
        splices.append((place, place, (b"," if first < len(stays) else b"") + b",".join(last)))
    return splices


def _holders(raw: bytes, wanted: set[EditPath]) -> dict[EditPath, _Holder]:
    """The objects and arrays at these paths."""
    found: dict[EditPath, _Holder] = {}
    path: list[str | int] = []  # of the value that comes next or is open
    opened: list[tuple[int, _Holder | None]] = []  # where each open container began, and what is known of it
    key = False  # the next string is an object's key
    begin = [0]  # where the key of the current member began, for each open container
    for token in TOKENS.finditer(raw):
        char = raw[token.start()]
        start = token.start()
        if char in b"{[":
            here = tuple(path)
            holder = _Holder(token.end(), char == 0x5B) if here in wanted else None
            if holder:
                found[here] = holder
            opened.append((start, holder))
            path.append(0 if char == 0x5B else "")
            begin.append(0)
            key = char == 0x7B
            continue
        if char == 0x2C:  # comma
            last = path[-1]
            if isinstance(last, int):
                path[-1] = last + 1
            else:
                key = True
            continue
        if char == 0x3A:  # colon
            key = False
            continue
        if key and char == 0x22:
            path[-1] = orjson.loads(token.group())
            begin[-1] = start
            continue
        if char in b"}]":
            path.pop()
            begin.pop()
            start = opened.pop()[0]
            key = False  # it still is after an empty object
        if opened and (holder := opened[-1][1]):
            holder.members[path[-1]] = (start if holder.array else begin[-1], start, token.end())
    return found
