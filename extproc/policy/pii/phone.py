"""Telephone numbers: the shapes people write them in, and lengths by number plan from the `phonenumbers` library.

Sources: ITU-T E.164 and E.123; the North American numbering plan.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from extproc.policy.pii.shape import Shape
from extproc.policy.rules import Accept

_DATE: Final = re.compile(
    r"\D?\d{2}[-. /]\d{2}[-. /](?:19|20)\d{2}"  # 15.01.2024
    r"|\D?(?:19|20)\d{2}[-. /]\d{2}[-. /]\d{2}"  # 2024-01-15
    r"|\d{2}([-./])\d{2}\1\d{2}(?!\1)"  # 15.01.24 10.30
    r"|(?:19|20)\d{2}[-/ ](?:19|20)\d{2}\Z"  # 2019-2024
)
_EXTENSION: Final = re.compile(r"[ ,;]*(?:x|ext|#|доб)", re.IGNORECASE)


@cache
def _lengths(code: int) -> frozenset[int]:
    """Lengths of national numbers behind a country code (of its main country); none for one that is not assigned."""
    regions = COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    if not regions:
        return frozenset()
    if regions[0] == "001":
        metadata = PhoneMetadata.metadata_for_nongeo_region(code, None)
    else:
        metadata = PhoneMetadata.metadata_for_region(regions[0], None)
    return frozenset(metadata.general_desc.possible_length) if metadata and metadata.general_desc else frozenset()


_BETWEEN: Final = str.maketrans("", "", " ().\xa0/-")


def _digits(candidate: str) -> str:
    digits = candidate.translate(_BETWEEN)
    if digits.isdigit():  # no extension
        return digits
    return "".join(filter(str.isdigit, _EXTENSION.split(candidate, maxsplit=1)[0]))


def international(candidate: str) -> int:
    """The whole candidate, if its country code is assigned and the rest has a length of that number plan."""
    digits = _digits(candidate)
    if candidate.startswith("00"):
        digits = digits[2:]
    for width in (1, 2, 3):
        lengths = _lengths(int(digits[:width]))
        if lengths:
            rest = digits[width:]
            possible = len(rest) in lengths or (rest.startswith("0") and len(rest) - 1 in lengths)
            return len(candidate) if possible else 0
    return 0


def national(candidate: str) -> int:
    """The whole candidate, if it has as many digits as national numbers have (8 to 12) and is not a date."""
    return len(candidate) if 8 <= len(_digits(candidate)) <= 12 and not _DATE.match(candidate) else 0


def digits(count: int) -> Accept:
    """The whole candidate, if it has so many digits; more make it a row of numbers."""
    return lambda candidate: len(candidate) if len(_digits(candidate)) == count else -len(candidate)


_EXT: Final = r"(?:[ ,;]{0,2}(?i:x|ext\.?|extension|#|доб\.?)[ .:]{0,2}\d{1,6}|\b)"
_NANP: Final = r"(?:\([2-9]\d{2}\)[ .-]{0,2}|\b[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"
_NOT_NUMBER: Final = r"[\d][.,:/-]|[#$€£]"
_WORDS: Final = (
    r"(?:tele)?phone ?(?:numbers?|nos?\.?)?|(?:tele)?phones|tel|telefon|telefonnummer|t[eé]l[eé]phone|tel[eé]fono|telefone"
    r"|mobiles?|mobile number|mobil|cell(?:ular)?|cell ?phone|handy|fax|call(?: (?:me|us|him|her|them))?|dial|whatsapp|sms"
    r"|text me|reach (?:me|us)|messages? (?:to|on|at)|my registered|my number(?: is)?|hotline|landline"
    r"|portable|celular|m[oó]vil|cellulare|телефон|тел|電話|电话|手机|전화|फ़ोन|फोन"
    r"|(?:desk|office|home|work|direct|main|contact|[tmpf]) ?:"
)

PHONE: Final[dict[str, tuple[Shape, ...]]] = {
    "phone": (
        Shape(r"\+[1-9](?:[ ().\x{a0}/-]{0,2}\d){6,14}" + _EXT, international, unless=r"[\w+]"),
        Shape(r"\b00[1-9](?:[ ().\x{a0}/-]{0,2}\d){8,14}" + _EXT, international, unless=_NOT_NUMBER),
        Shape(r"(?:\b1[ .-]?)?" + _NANP + _EXT, unless=_NOT_NUMBER),
        Shape(r"\(0?[1-9]\d{0,4}\)[ .-]?\d{2,4}(?:[ .-]?\d{2,4}){1,3}" + _EXT, national, unless=r"[\w)]"),
        Shape(r"\b0[1-9]\d{0,3}(?:[ ./-]\d{2,6}){1,4}" + _EXT, national, unless=_NOT_NUMBER),
        Shape(r"\b0[1-9]\d{0,3}[ /-]{1,3}\d{5,8}" + _EXT, national, unless=_NOT_NUMBER),
        Shape(r"\b0[1-9]\d{7,10}" + _EXT, unless=_NOT_NUMBER),
        Shape(r"\b[1-9]\d \d{3} \d{2} \d{2}(?: \d{1,3})?" + _EXT, digits(9), unless=_NOT_NUMBER + r"|\d "),
        Shape(r"\b[49]\d{2} \d{2} \d{3}(?: \d{1,3})?" + _EXT, digits(8), unless=_NOT_NUMBER + r"|\d "),
        Shape(r"\b[1-9]\d(?:[ ./-]?\d){6,10}" + _EXT, national, words=_WORDS, unless=_NOT_NUMBER),
    ),
}
"""Shapes by type."""
