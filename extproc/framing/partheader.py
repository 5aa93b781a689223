"""Headers of form parts, and the boundary: strict readings of RFC 2045, 2183, 7578 and 8187, with one meaning or none.

Whatever two readers could take differently is refused: folded lines, backslashes (escapes to some, characters to others),
names given twice, encodings of the content, headers nobody needs. So no text reaches a provider in a place not looked at.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from extproc.errors import DecodeError

_ATOM: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE: Final = rf'"[^"\\\x00-\x1f\x7f]*+"|{_ATOM}'
_FIELD: Final = re.compile(rf"({_ATOM}):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*)")
_PARAMETER: Final = re.compile(rf"[ \t]*+;[ \t]*+({_ATOM})=({_VALUE})")
_MEDIA: Final = re.compile(rf"({_ATOM})/({_ATOM})")
_FORM: Final = re.compile(r"multipart/form-data", re.IGNORECASE)
_FORM_PARAMETER: Final = re.compile(
    r"""[ \t]*+;[ \t]*+(boundary|charset)=("[0-9A-Za-z'()+_,./:=?-]++"|[0-9A-Za-z'+_./:=?-]++)""", re.IGNORECASE
)
_BOUNDARY_MAX: Final = 70
_EXTENDED: Final = re.compile(r"utf-8'[A-Za-z0-9-]*'((?:%[0-9A-Fa-f]{2}|[!#$&+.^_`|~0-9A-Za-z-])*+)", re.IGNORECASE)
_WORD: Final = re.compile(r"=\?utf-8\?B\?([A-Za-z0-9+/]+=*)\?=", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_IDENTITY: Final = frozenset({"binary", "8bit", "7bit"})
_TEXT: Final = frozenset({"", "text/plain", "application/json"})
_ASCII_LIKE: Final = frozenset({"us-ascii", "iso-8859-1", "windows-1252"})
"""Character sets in which ASCII means what it says; some clients name one of them for every text."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the headers of a part say. ``filename`` is None for a field; ``charset`` is lower case, empty for none.

    ``content_type`` is as sent, with parameters; ``length``: the content's size in bytes, where it is told.
    """

    name: str
    filename: str | None
    content_type: str
    charset: str
    length: int | None


def boundary(content_type: str) -> bytes:
    """The boundary in the Content-Type of a request.

    Raises:
        DecodeError: it is no form's, or two readers could find different boundaries in it.
    """
    found = _FORM.match(content_type)
    at = found.end() if found else 0
    values: dict[str, str] = {}
    while found and at < len(content_type) and (each := _FORM_PARAMETER.match(content_type, at)):
        if each[1].lower() in values:
            raise DecodeError("a parameter of the Content-Type comes twice")
        values[each[1].lower()] = each[2].strip('"')
        at = each.end()
    if not found or content_type[at:].strip(" \t") or values.get("charset", "utf-8").lower() != "utf-8":
        raise DecodeError("the Content-Type is not that of a form in UTF-8")
    if not 0 < len(values.get("boundary", "")) <= _BOUNDARY_MAX:
        raise DecodeError("the Content-Type has no boundary")
    return values["boundary"].encode()


def read(raw: bytes) -> Header:
    """The headers of one part, without the blank line that ends them.

    Raises:
        DecodeError: they are malformed, or say something that could be read in more than one way.
    """
    fields = _fields(raw)
    disposition = fields.pop("content-disposition", "")
    content_type = fields.pop("content-type", "")
    length = fields.pop("content-length", None)
    if fields.pop("content-transfer-encoding", "binary").lower() not in _IDENTITY:
        raise DecodeError("the content of a part is encoded")
    if fields:
        raise DecodeError("a part has a header that is not known in forms")
    if length is not None and not re.fullmatch(r"[0-9]{1,18}", length, re.ASCII):
        raise DecodeError("the length of a part is no number")
    name, filename = _named(disposition)
    media, charset = _typed(content_type)
    if filename is None and media not in _TEXT:
        raise DecodeError("a field has the type of a file, but no file name")
    return Header(name, filename, content_type, charset, None if length is None else int(length))


def text(header: Header, content: bytes) -> str:
    """The text of a field.

    Raises:
        DecodeError: it is not UTF-8, or declared as something else.
    """
    if header.charset not in ("", "utf-8") and not (header.charset in _ASCII_LIKE and content.isascii()):
        raise DecodeError("a field is not in UTF-8")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise DecodeError("a field is not in UTF-8") from None


def _fields(raw: bytes) -> dict[str, str]:
    try:
        lines = raw.decode().split("\r\n")
    except UnicodeDecodeError:
        raise DecodeError("a header of a part is not UTF-8") from None
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise DecodeError("a header of a part is malformed")
        if found[1].lower() in fields:
            raise DecodeError("a header of a part comes twice")
        fields[found[1].lower()] = found[2].rstrip(" \t")
    return fields


def _parameters(value: str, at: int) -> dict[str, str]:
    """Parameters from ``at`` to the end, by lower-case name."""
    found: dict[str, str] = {}
    while at < len(value):
        each = _PARAMETER.match(value, at)
        if each is None:
            raise DecodeError("a header of a part is malformed")
        if each[1].lower() in found:
            raise DecodeError("a parameter of a part's header comes twice")
        found[each[1].lower()] = each[2][1:-1] if each[2].startswith('"') else each[2]
        at = each.end()
    return found


def _named(disposition: str) -> tuple[str, str | None]:
    """The names of the field and of the file."""
    kind = "form-data"
    if disposition[: len(kind)].lower() != kind:
        raise DecodeError("a part is not a part of a form")
    parameters = _parameters(disposition, len(kind))
    name = parameters.pop("name", "")
    filename = parameters.pop("filename", None)
    extended = parameters.pop("filename*", None)
    if not name or parameters:
        raise DecodeError("a part has no name, or parameters that are not known")
    if extended is not None:
        filename = _agreed(filename, _extended(extended))
    if filename == "":  # a file to some readers, a field to others
        raise DecodeError("the name of a file is empty")
    return name, filename


def _extended(value: str) -> str:
    """A value in the notation of RFC 8187. RFC 7578 forbids it in forms, but .NET sends it beside the plain one."""
    found = _EXTENDED.fullmatch(value)
    try:
        plain = unquote_to_bytes(found[1]).decode() if found else "\0"
    except UnicodeDecodeError:
        plain = "\0"
    if _CONTROL.search(plain):
        raise DecodeError("the name of a file is malformed")
    return plain


def _agreed(plain: str | None, extended: str) -> str:
    """The one name of a file that is named in two notations; the plain one may be an encoded word (RFC 2047)."""
    if plain is not None and (word := _WORD.fullmatch(plain)):
        try:
            plain = base64.b64decode(word[1], validate=True).decode()
        except ValueError:
            plain = None
        if plain != extended:
            raise DecodeError("a file has two names")
    if plain not in (None, extended):
        raise DecodeError("a file has two names")
    return extended


def _typed(content_type: str) -> tuple[str, str]:
    """The media type and the character set, in lower case."""
    if not content_type:
        return "", ""
    found = _MEDIA.match(content_type)
    if found is None or found[1].lower() in ("multipart", "message"):
        raise DecodeError("a part is not of one media type")
    return found[0].lower(), _parameters(content_type, found.end()).get("charset", "").lower()


def written(name: str, filename: str | None = None, content_type: str = "") -> bytes:
    """The headers of a part and the blank line after them, as browsers escape them (HTML, "multipart/form-data").

    Raises:
        DecodeError: the name or the type cannot stand there.
    """
    if not name or re.search(r'["\\\x00-\x1f\x7f]', name):
        raise DecodeError("a field cannot have this name in a form")
    head = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += f'; filename="{_escaped(filename) or "_"}"'
    if content_type:
        _typed(content_type)
        head += f"\r\nContent-Type: {content_type}"
    return head.encode() + b"\r\n\r\n"


_UNSAFE: Final = re.compile(r'["\\\x00-\x1f\x7f]')


def _escaped(filename: str) -> str:
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", filename)
