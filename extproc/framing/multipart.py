"""Forms with files (multipart/form-data): one strict reading of the bytes, and the same form again with other texts.

Owns: where parts begin and end, and how their names make one value that policies see like any JSON body. Files are never
copied nor looked into: they are slices of the body, and come out as the very bytes they came in.

Theory. A part ends at the boundary; readers differ about line ends, white space and text around it. So the boundary must
stand in the body nowhere but in complete delimiters (CRLF, two hyphens, boundary, CRLF or two hyphens): then all readers
find the same parts. Nothing may stand before the first and after the last. Parts are found by searching the boundary once.

Sources: RFC 7578 and RFC 2046, section 5.1; names with brackets as OpenAI's SDKs write lists (``a[]``) and objects
(``a[b]``).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from extproc.errors import DecodeError, LimitExceeded, Unrepresentable
from extproc.framing import partheader
from extproc.framing.partheader import Header

MAX_PARTS: Final = 1000
MAX_HEADER: Final = 8192
"""Bytes of the headers of one part."""
_MAX_NAME: Final = 256
_MAX_DEPTH: Final = 8
_CRLF: Final = b"\r\n"
_END: Final = b"--"
_STEPS: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]+\])*)(\[\])?")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")

Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """What a format's forms have.

    Args:
        files: names of fields that may be files (``image`` also stands for ``image[]``). Elsewhere a file is refused,
            because what should be a text would not be looked at.
        numbers: names of fields that are numbers where they look like one; all others are texts, whatever they look like.
    """

    files: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """One part: ``name`` as sent, ``raw`` all its bytes between two delimiters, ``content`` those after its headers.

    ``value`` is what policies see of it: a text, a number, or ``{"filename", "content_type"}`` of a file.
    """

    name: str
    value: Any
    raw: memoryview
    content: memoryview

    @property
    def file(self) -> bool:
        """Whether it is a file."""
        return isinstance(self.value, dict)


@dataclass(slots=True, repr=False)
class _Field:
    """All parts of one name; ``listed``: the name ends in brackets."""

    listed: bool
    parts: list[Part] = field(default_factory=list)

    def value(self) -> Any:
        values = [part.value for part in self.parts]
        return values if self.listed or len(values) > 1 else values[0]


class Form:
    """A form that was read. Immutable."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[Steps, _Field]) -> None:
        self._fields = fields

    def value(self) -> dict[str, Any]:
        """The form as a JSON object: texts and numbers, lists of them (a name that comes twice, or as ``a[]``), objects.

        Files are ``{"filename": str, "content_type": str}``, the type as the client claims it and empty where it does not.
        """
        made: dict[str, Any] = {}
        for steps, found in self._fields.items():
            node = made
            for step in steps[:-1]:
                node = node.setdefault(step, {})
            node[steps[-1]] = found.value()
        return made

    def build(self, value: Mapping[str, Any]) -> tuple[bytes, str]:
        """The form with this value as a body, and its Content-Type; parts whose value is the same keep all their bytes.

        Fields may be changed, removed (missing or null) and added; of files the names and types may, and they may go.
        ``parse`` of the result has this value, but for empty lists, which a form cannot say, and numbers it was not told of.

        Raises:
            Unrepresentable: it has something that a form of these files cannot say.
        """
        wanted = dict(_leaves(value, (), self._fields))
        parts: list[_Pieces] = []
        for steps, found in self._fields.items():
            if steps in wanted:
                parts += _changed(steps, found, wanted.pop(steps))
        for steps, leaf in wanted.items():
            parts += _changed(steps, _Field(listed=False), leaf)
        return _enclosed(parts)


_TRUE: Final = frozenset({"true", "1", "yes", "on", "t", "y"})


def affirmed(value: Any) -> bool:
    """Whether a value says yes, as JSON does or as a field of a form can, in which everything is a text."""
    return value.strip().lower() in _TRUE if isinstance(value, str) else value is True


def parse(content_type: str, body: bytes, fields: Fields) -> Form:
    """Read a form.

    Args:
        content_type: the request's.

    Raises:
        DecodeError: it is malformed, or two readers could take it differently. Never quotes it.
        LimitExceeded: it has too many parts, or too long headers.
    """
    view = memoryview(body)
    found: dict[Steps, _Field] = {}
    for start, end in _cuts(body, _END + partheader.boundary(content_type)):
        part = _part(body, view, start, end, fields)
        steps, listed = _steps(part.name)
        if part.file and ".".join(steps) not in fields.files:
            raise DecodeError("a file stands where a text belongs")
        known = found.setdefault(steps, _Field(listed))
        if known.listed is not listed:
            raise DecodeError("a field comes both with and without brackets")
        known.parts.append(part)
    _check_names(found)
    return Form(found)


def _cuts(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of every part."""
    at = len(_CRLF) if body.startswith(_CRLF) else 0
    if not body.startswith(delimiter, at):
        raise DecodeError("the form does not begin with its boundary")
    count = 0
    while True:
        start = at + len(delimiter)
        if body.startswith(_END, start):
            if body[start + len(_END) : start + 8] not in (b"", _CRLF):
                raise DecodeError("something follows the end of the form")
            return
        start += len(_CRLF)
        at = body.find(delimiter, start)
        if at < 0:
            raise DecodeError("the form has no end")
        if body[start - 2 : start] != _CRLF or body[at - 2 : at] != _CRLF:
            raise DecodeError("the boundary stands in the middle of something")
        count += 1
        if count > MAX_PARTS:
            raise LimitExceeded(f"it has more than {MAX_PARTS} parts")
        yield start, at - 2


def _part(body: bytes, view: memoryview, start: int, end: int, fields: Fields) -> Part:
    blank = body.find(b"\r\n\r\n", start, min(end, start + MAX_HEADER))
    if blank < 0:
        if end - start > MAX_HEADER:
            raise LimitExceeded(f"the headers of a part are longer than {MAX_HEADER} bytes")
        raise DecodeError("the headers of a part have no end")
    header = partheader.read(body[start:blank])
    content = view[blank + 4 : end]
    if header.length not in (None, len(content)):
        raise DecodeError("a part is not as long as it says")
    return Part(header.name, _read(header, content, fields), view[start:end], content)


def _read(header: Header, content: memoryview, fields: Fields) -> Any:
    if header.filename is not None:
        return {"filename": header.filename, "content_type": header.content_type}
    text = partheader.text(header, bytes(content))
    if header.name == "_charset_" and text.lower() != "utf-8":
        raise DecodeError("the form is not in UTF-8")
    number = _NUMBER.fullmatch(text) if header.name in fields.numbers else None
    if number is None:
        return text
    return float(text) if number[1] else int(text)


def _steps(name: str) -> tuple[Steps, bool]:
    """The names on the way to a field, and whether it is an element of a list."""
    found = _STEPS.fullmatch(name) if len(name) <= _MAX_NAME else None
    if found is None or found[2].count("[") >= _MAX_DEPTH:
        raise DecodeError("the name of a field is malformed")
    return (found[1], *(step for step in found[2][1:-1].split("][") if step)), found[3] is not None


def _check_names(found: Mapping[Steps, Any]) -> None:
    """Refuse a name that is both a field and an object, and names that differ only in case: readers differ on them."""
    spelled: dict[Steps, Steps] = {}
    for steps in found:
        for depth in range(1, len(steps) + 1):
            here = steps[:depth]
            if depth < len(steps) and here in found:
                raise DecodeError("a field is both a text and an object")
            if spelled.setdefault(tuple(step.lower() for step in here), here) != here:
                raise DecodeError("the form has fields whose names differ only in case")


# a form again

_Pieces = tuple[bytes | memoryview, ...]


def _leaves(value: Mapping[str, Any], around: Steps, fields: Mapping[Steps, _Field]) -> Iterator[tuple[Steps, Any]]:
    for name, child in value.items():
        steps = (*around, name)
        known = fields.get(steps)
        if isinstance(child, dict) and not (known and known.parts[0].file):
            yield from _leaves(child, steps, fields)
        elif child is not None:
            yield steps, child


def _changed(steps: Steps, known: _Field, leaf: Any) -> Iterator[_Pieces]:
    """The parts of a field, each in pieces."""
    old = known.parts
    values = leaf if isinstance(leaf, list) else [leaf]
    if len(values) != len(old) and any(part.file for part in old):
        raise Unrepresentable(steps, "more or fewer files than were sent")
    listed = isinstance(leaf, list) and (known.listed or len(old) < 2 or len(leaf) < 2)
    name = steps[0] + "".join(f"[{step}]" for step in steps[1:]) + ("[]" if listed else "")
    for index, value in enumerate(values):
        part = old[index] if index < len(old) else None
        if part and part.name == name and part.value == value and type(part.value) is type(value):
            yield (part.raw,)
            continue
        try:
            if _steps(name) != (steps, listed):
                raise DecodeError("a field cannot have this name in a form")
            yield _written(name, part, value)
        except (DecodeError, TypeError):
            raise Unrepresentable(steps, "something a form cannot say") from None


def _written(name: str, part: Part | None, value: Any) -> _Pieces:
    if part and part.file:
        return partheader.written(name, *_about(value)), part.content
    return (partheader.written(name) + _spelled(value).encode(),)


def _about(value: Any) -> tuple[str, str]:
    """A file's name and type."""
    if not isinstance(value, dict) or value.keys() != {"filename", "content_type"}:
        raise TypeError
    filename, content_type = value["filename"], value["content_type"]
    if not isinstance(filename, str) or not isinstance(content_type, str):
        raise TypeError
    return filename, content_type


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError


def _enclosed(parts: list[_Pieces]) -> tuple[bytes, str]:
    """The parts as a body, and its Content-Type. The boundary is new, and stands nowhere else in the body."""
    while True:
        boundary = f"llm-extproc-{secrets.token_hex(16)}"
        delimiter = _END + boundary.encode()
        chunks: list[bytes | memoryview] = []
        for pieces in parts:
            chunks += (delimiter, _CRLF, *pieces, _CRLF)
        body = b"".join([*chunks, delimiter, _END, _CRLF])
        if body.count(boundary.encode()) == len(parts) + 1:
            return body, f"multipart/form-data; boundary={boundary}"
