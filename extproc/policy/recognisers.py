"""Recognisers of personal data: a candidate's shape as a bounded expression, and a validator that confirms it.

Sources: RFC 5322 and 5321 (lengths of addresses), ISO/IEC 7812 and the card networks' number ranges, ISO 13616 and the
IBAN registry (lengths by country), RFC 4291, E.164 through the `phonenumbers` library.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

import phonenumbers

from extproc.policy.pattern import parse
from extproc.policy.rules import Accept, RegexRule


@dataclass(frozen=True, slots=True)
class Recogniser:
    """A shape and its validator (see ``rules.Accept``)."""

    pattern: str
    accept: Accept | None = None

    def rule(self, label: str, replacement: str) -> RegexRule:
        """The rule for this recogniser."""
        return RegexRule(label, parse(self.pattern), replacement, self.accept)


def luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812-1 annex B."""
    total = 0
    for index, char in enumerate(reversed(digits)):
        value = int(char) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


_CARDS: Final = (  # (numbers begin with, lengths)
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"30[0-5]|3095|36|3[89]"), (14, 16, 19)),
    (re.compile(r"6011|64[4-9]|65|62|60|81"), (16, 17, 18, 19)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16, 17, 18, 19)),
    (re.compile(r"5018|5020|5038|5[6-9]|6[37]"), (12, 13, 14, 15, 16, 17, 18, 19)),
)


def card(candidate: str) -> int:
    """Length of the card number a run of digits begins with: longest first, a network's range, and Luhn."""
    ends = [at + 1 for at, char in enumerate(candidate) if char.isdigit()]
    digits = "".join(char for char in candidate if char.isdigit())
    for count in range(min(len(digits), 19), 11, -1):
        end = ends[count - 1]
        if end < len(candidate) and candidate[end].isdigit():
            continue
        number = digits[:count]
        if any(count in lengths and begin.match(number) for begin, lengths in _CARDS) and luhn(number):
            return end
    return 0


_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip


def iban(candidate: str) -> int:
    """Length of the IBAN a candidate begins with: the country's length, then ISO 7064 MOD 97-10."""
    wanted = _IBAN_LENGTHS.get(candidate[:2].upper(), 0)
    ends = [at + 1 for at, char in enumerate(candidate) if char.isalnum()]
    if not wanted or len(ends) < wanted:
        return 0
    end = ends[wanted - 1]
    if end < len(candidate) and candidate[end].isalnum():
        return 0
    text = "".join(char for char in candidate[:end].upper() if char.isalnum())
    number = "".join(str(int(char, 36)) for char in text[4:] + text[:4])
    return end if int(number) % 97 == 1 else 0


def ipv4(candidate: str) -> int:
    """The whole candidate, if its four groups are bytes and it is not part of a longer dotted number."""
    groups = candidate.split(".")
    return len(candidate) if len(groups) == 4 and all(int(group) <= 255 for group in groups) else -len(candidate)


def ipv6(candidate: str) -> int:
    """The whole candidate, if it is an address that says more than ``::1`` or a C++ name (``std::byte``) does."""
    text = candidate
    if "::" not in text and text.count(":") != 7:  # most candidates are times of day
        return 0
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return 0
    telling = sum(char.isalnum() for char in text) >= 4 and any(char.isdigit() for char in text)
    return len(text) if telling else 0


_DATE: Final = re.compile(r"\D?\d{2}[-. ]\d{2}[-. ](?:19|20)\d{2}|\D?(?:19|20)\d{2}[-. ]\d{2}[-. ]\d{2}")
_REGIONS: Final = ("US", "GB", "DE", "FR", "IN", "AU")


def phone(candidate: str) -> int:
    """The whole candidate, if its length is possible for the number plan it belongs to and it is not a date."""
    if _DATE.match(candidate):
        return 0
    regions: tuple[str | None, ...] = (None,) if candidate.startswith("+") else _REGIONS
    for region in regions:
        try:
            number = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            return len(candidate)
    return 0


_LETTERS: Final = r"\x{C0}-\x{24F}\x{370}-\x{52F}"  # Latin, Greek, Cyrillic: scripts that separate words by blanks

RECOGNISERS: Final[dict[str, tuple[Recogniser, ...]]] = {
    "email": (
        Recogniser(
            rf"[A-Za-z0-9_{_LETTERS}][A-Za-z0-9._%+'{_LETTERS}-]{{0,63}}@"
            rf"(?:[A-Za-z0-9{_LETTERS}-]{{1,63}}\.){{1,5}}(?:[Xx][Nn]--[A-Za-z0-9-]{{1,59}}|[A-Za-z{_LETTERS}]{{2,24}})"
        ),
    ),
    "phone": (
        Recogniser(r"\+[1-9](?:[ ().\x{a0}-]{0,2}\d){6,14}", phone),
        Recogniser(r"(?:\b1[ .-]?)?(?:\(\d{3}\)[ .-]?|\b\d{3}[ .-])\d{3}[ .-]\d{4}\b", phone),
        Recogniser(r"(?:\(0\d{1,4}\)|\b0\d)(?:[ ().-]{0,2}\d){7,10}\b", phone),
    ),
    "card": (Recogniser(r"\b\d(?:[ \x{a0}-]?\d){11,19}", card),),
    "iban": (Recogniser(r"\b[A-Za-z]{2}\d{2}(?:[ \x{a0}-]?[A-Za-z0-9]){10,32}", iban),),
    "ip": (
        Recogniser(r"\b\d{1,3}(?:\.\d{1,3}){3,4}\b", ipv4),
        Recogniser(r"(?:\b[0-9A-Fa-f]{1,4})?(?:::?[0-9A-Fa-f]{1,4}){1,7}(?:::)?(?:\.\d{1,3}){0,3}", ipv6),
    ),
}
"""Recognisers by the type the configuration names."""
