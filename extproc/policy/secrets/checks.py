"""Checks of candidates: checksums, structure, and whether a text looks as if nobody thought it up.

Owns: what tells a secret from a placeholder, an identifier or a word. Every check is linear in the candidate.

Sources: RFC 7519 and 7515 (JSON Web Tokens), GitHub's and npm's announcements of their token formats (CRC-32 of the random
part in six digits of base 62), Shannon's entropy.
"""

from __future__ import annotations

import math
import re
import string
import zlib
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections import Counter
from functools import cache, lru_cache
from typing import Final

import orjson

from extproc.policy.rules import Presence, flat

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    return -sum(map(_terms(len(text)).__getitem__, Counter(text).values()))


@lru_cache(maxsize=1024)
def _terms(size: int) -> tuple[float, ...]:
    """What a character that occurs so often adds to the (negative) entropy of a text of this size."""
    return (0.0, *(count / size * math.log2(count / size) for count in range(1, size + 1)))


def varied(text: str) -> bool:
    """Not a placeholder: at least eight different characters."""
    return len(set(text)) >= 8


def digits_too(text: str) -> bool:
    """Varied, with a digit: not a name or some words joined."""
    return varied(text) and any(map(str.isdigit, text))


def random_looking(text: str) -> bool:
    """Varied, and its kinds of characters change often, as in ``a8Kd03`` and not in ``checksum_v2``.

    A text that contains one that looks random looks random.
    """
    if not varied(text):
        return False
    kinds = flat(text).translate(_KIND)
    return sum(map(kinds.count, _CHANGES)) >= 3


_KIND: Final = bytes.maketrans(
    (string.digits + string.ascii_lowercase + string.ascii_uppercase).encode(), b"d" * 10 + b"l" * 26 + b"u" * 26
)
"""Digits, small and capital letters; signs stay what they are."""
_CHANGES: Final = (b"ld", b"ud", b"dl", b"du", b"lu")


def crc32_base62(body: str) -> bool:
    """Whether the last six characters of a token without its prefix are the checksum of those before them."""
    value, digits = zlib.crc32(body[:-6].encode()), ""
    while value:
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return body[-6:] == digits.rjust(6, "0")


def checksummed(body: str) -> bool:
    """A right checksum, or varied: a token with a mistyped character is still most of a token."""
    return crc32_base62(body) or varied(body)


def _json(part: str) -> object:
    if len(part) % 4 == 1:
        return None
    try:
        return orjson.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (Base64Error, ValueError):
        return None


def jwt(token: str) -> bool:
    """Whether the first part is the header of a JSON Web Token (RFC 7515: an object that names its algorithm)."""
    header = _json(token.partition(".")[0])
    return isinstance(header, dict) and isinstance(header.get("alg"), str)


def uuid(text: str) -> bool:
    """Whether it is a UUID: an identifier, unless its keyword says otherwise."""
    return len(text) == 36 and _UUID.fullmatch(text) is not None


_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

_STAND_IN: Final = (
    r"(?i)\A(?:x{3,}|\*{3,}|\.{3,}|_{3,}|-{3,}|#{3,}|\$[A-Z_({]|%[A-Z(]|@[A-Z]|<|\{|\[|none\b|null\b|nil\b|true\b|false\b|undefined\b)"
    r"|your|change[-_]?(?:me|it|this)|example|placeholder|dummy|redacted|insert|replace|to-?do\b|x{4,}|\*{4,}|\.{3}"
)
_CODE: Final = re.compile(
    r"(?i)\A(?:process\.|os\.|env[.:(\[]|environ|config\.|settings\.|self\.|this\.|args\.|params\.|request\.|req\.|res\.|"
    r"response\.|ctx\.|secrets\.|vars\.|var\.|local\.|data\.|import\.|std::|await\b|new\b|get[A-Z_]|file:|https?:|/)"
)


def stand_in(text: str) -> bool:
    """Whether a value stands in for a secret: a placeholder, a variable, a call, a path."""
    if text.endswith(("(", "[", "{", "<")) or _CODE.match(text):
        return True
    # RE2 is ten times faster, and reads it alike in ASCII
    return _STAND_IN_ASCII.within(text) if text.isascii() else _stand_in_any().search(text) is not None


_STAND_IN_ASCII: Final = Presence(_STAND_IN)


@cache
def _stand_in_any() -> re.Pattern[str]:
    return re.compile(_STAND_IN)


def secret_value(text: str, threshold: float) -> bool:
    """Whether a value that is called a key or a token is one: long, random looking, no identifier and no stand-in."""
    return (
        len(text) >= 12
        and sum(map(str.isdigit, text)) >= (2 if "." in text else 1)
        and random_looking(text)
        and entropy(text) >= threshold
        and not uuid(text)
        and not stand_in(text)
    )


def password_value(text: str) -> bool:
    """Whether a value that is called a password is one: with digits or signs, and no stand-in. Words alone are not."""
    return len(set(text)) >= 4 and _PASSWORD.search(text) is not None and not stand_in(text)


_PASSWORD: Final = re.compile(r"[0-9!@#$%^&*?+=~§€£]")
