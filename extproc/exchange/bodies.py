"""A request's body as policies see it: a JSON object, whether it came as one or as a form with files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from extproc.errors import Unrepresentable
from extproc.formats.base import Format
from extproc.formats.generic import OPAQUE
from extproc.framing import multipart
from extproc.framing.jsontext import dump, parse
from extproc.framing.multipart import Form

JSON = "application/json"


@dataclass(slots=True, repr=False)
class Body:
    """``raw`` is the JSON text, ``value`` its value; ``form`` what it was made from, whose bytes are ``came``.

    ``unread``: it stands for bytes that nobody reads; ``coding`` is theirs.
    """

    raw: bytes
    value: dict[str, Any] = field(default_factory=dict)
    form: Form | None = None
    came: bytes = b""
    content_type: str = JSON
    coding: str = ""
    unread: bool = False

    def sent(self, raw: bytes) -> tuple[bytes, str]:
        """What goes on where this JSON text is left of it, and its content type.

        Raises:
            Unrepresentable: what came cannot say it.
        """
        if self.form is None and not self.unread:
            return raw, JSON
        if raw is self.raw:
            return self.came, self.content_type
        if self.form is None:
            raise Unrepresentable((), "a body that is not read cannot be changed")
        return self.form.build(parse(raw))


def is_form(content_type: str) -> bool:
    """Whether a content type is that of a form with files."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def takes_forms(format_: Format) -> bool:
    """Whether requests of a format may be forms."""
    return getattr(format_, "form", None) is not None


def is_opaque(format_: Format) -> bool:
    """Whether nobody reads the bodies of a format."""
    return format_.name == OPAQUE


def unread(came: bytes, content_type: str = "", coding: str = "") -> Body:
    """A body that nobody reads, or none."""
    return Body(b"{}", {}, None, came, content_type, coding, unread=True)


def of_form(format_: Format, content_type: str, came: bytes) -> Body:
    """A form's.

    Raises:
        DecodeError, LimitExceeded: it cannot be read.
    """
    fields: multipart.Fields = format_.form  # type: ignore[attr-defined]
    form = multipart.parse(content_type, came, fields)
    value = form.value()
    return Body(dump(value), value, form, came, content_type)
