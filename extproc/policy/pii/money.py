"""Cards, bank accounts and bank codes.

Sources: ISO/IEC 7812 and the card networks' number ranges, ISO 13616 and the IBAN registry (the shape of each country's
account numbers), ISO 9362 (BIC).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from extproc.policy.pii.checks import luhn, mod97
from extproc.policy.pii.shape import Shape

_NETWORKS: Final = (  # (numbers begin with, lengths)
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]|2131|1800"), (15,)),
    (re.compile(r"30[0-59]|36|3[89]"), (14, 16, 19)),
    (re.compile(r"6011|64[4-9]|65|62|60|81"), (16, 17, 18, 19)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16, 17, 18, 19)),
    (re.compile(r"5018|5020|5038|5[6-9]|6[37]|0604"), (12, 13, 14, 15, 16, 17, 18, 19)),
)
_BEGIN: Final = (
    r"(?:4\d{3}|5[1-9]\d{2}|50[123]\d|22[2-9]\d|2[3-6]\d{2}|27[012]\d|3[4-9]\d{2}|30[0-59]\d|2131|1800|6[02-7]\d{2}"
    r"|81\d{2}|0604)"
)
_JOINED: Final = str.maketrans("", "", " -\xa0")


def _card_pattern() -> str:
    """A number in one piece, or in the groups that are printed on cards with one separator throughout."""
    grouped = "|".join(
        rf"{each}\d{{4}}{each}\d{{4}}(?:{each}\d{{4}}(?:{each}\d{{1,3}})?)?|{each}\d{{6}}{each}\d{{4,5}}|(?:{each}\d{{3}}){{3}}"
        for each in (" ", "-", r"\x{a0}")
    )
    return rf"\b{_BEGIN}(?:\d{{8,15}}|{grouped})\b"


@cache
def _card_lengths(begin: str) -> frozenset[int]:
    """Lengths of the numbers that begin with these four digits."""
    return frozenset(length for known, lengths in _NETWORKS if known.match(begin) for length in lengths)


def card(candidate: str) -> int:
    """Length of the card number that a candidate is or, without its last group, begins with: a network's range and Luhn."""
    lengths = _card_lengths(candidate[:4])
    digits = candidate.translate(_JOINED)
    if len(digits) in lengths and luhn(digits):
        return len(candidate)
    if len(candidate) > 20 and 16 in lengths and luhn(digits[:16]):  # a security code follows
        return 19
    return 0


_ROW: Final = {each: re.compile(rf"(?:\d{{4}}{each}){{6,24}}", re.ASCII) for each in " -\xa0"}
"""Groups of four digits, more than belong to one number."""


class _Sums(dict[str, int]):
    """What four digits add to Luhn's sum of a number of sixteen: filled as it is asked."""

    def __missing__(self, group: str) -> int:
        self[group] = sum(int(digit) for digit in str(2 * int(group[0])) + group[1] + str(2 * int(group[2])) + group[3])
        return self[group]


_SUMS: Final = _Sums()


def past_row(text: str, first: int) -> int:
    """Where the next card may begin behind a refused candidate: a row of groups of four is judged as a whole.

    Within it every number is one of sixteen digits that begins a group. Those at its end are not judged here.
    """
    separator = text[first + 4 : first + 5]
    row = _ROW[separator].match(text, first) if separator in _ROW else None
    if row is None:
        return first + 1
    groups = row[0][:-1].split(separator)
    sums = [_SUMS[group] for group in groups]
    last = len(groups) - 4  # what follows its number is not seen here
    for at in range(1, last):
        if not (sums[at] + sums[at + 1] + sums[at + 2] + sums[at + 3]) % 10 and 16 in _card_lengths(groups[at]):
            return first + 5 * at
    return first + 5 * last


_ACCOUNTS: Final = {
    "AD": "8n12c", "AE": "19n", "AL": "8n16c", "AT": "16n", "AZ": "4a20c", "BA": "16n", "BE": "12n", "BG": "4a6n8c",
    "BH": "4a14c", "BI": "23n", "BR": "23n1a1c", "BY": "4c4n16c", "CH": "5n12c", "CR": "18n", "CY": "8n16c", "CZ": "20n",
    "DE": "18n", "DJ": "23n", "DK": "14n", "DO": "4c20n", "EE": "16n", "EG": "25n", "ES": "20n", "FI": "14n", "FK": "2a12n",
    "FO": "14n", "FR": "10n11c2n", "GB": "4a14n", "GE": "2a16n", "GI": "4a15c", "GL": "14n", "GR": "7n16c", "GT": "24c",
    "HN": "4a20n", "HR": "17n", "HU": "24n", "IE": "4a14n", "IL": "19n", "IQ": "4a15n", "IS": "22n", "IT": "1a10n12c",
    "JO": "4a4n18c", "KW": "4a22c", "KZ": "3n13c", "LB": "4n20c", "LC": "4a24c", "LI": "5n12c", "LT": "16n", "LU": "3n13c",
    "LV": "4a13c", "LY": "21n", "MC": "10n11c2n", "MD": "20c", "ME": "18n", "MK": "3n10c2n", "MN": "16n", "MR": "23n",
    "MT": "4a5n18c", "MU": "4a19n3a", "NI": "4a20n", "NL": "4a10n", "NO": "11n", "OM": "3n16c", "PK": "4a16c", "PL": "24n",
    "PS": "4a21c", "PT": "21n", "QA": "4a21c", "RO": "4a16c", "RS": "18n", "RU": "14n15c", "SA": "2n18c", "SC": "4a20n3a",
    "SD": "14n", "SE": "20n", "SI": "15n", "SK": "20n", "SM": "1a10n12c", "SO": "19n", "ST": "21n", "SV": "4a20n",
    "TL": "19n", "TN": "20n", "TR": "6n16c", "UA": "6n19c", "VA": "18n", "VG": "4a16n", "XK": "16n", "YE": "4a4n18c",
}  # fmt: skip
"""What follows a country's check digits: numbers of digits (n), letters (a), letters or digits (c)."""
_PARTS: Final = re.compile(r"(\d+)([nac])")
_CLASSES: Final = {"n": r"\d", "a": "[A-Za-z]", "c": "[A-Za-z0-9]"}
_LENGTHS: Final = {
    country: 4 + sum(int(part[1]) for part in _PARTS.finditer(account)) for country, account in _ACCOUNTS.items()
}


def _iban_pattern() -> str:
    """One branch for each shape of an account, with its countries; single blanks or dashes may stand anywhere."""
    countries: dict[str, list[str]] = {}
    for country, account in _ACCOUNTS.items():
        countries.setdefault(account, []).append(country)
    branches = (
        rf"(?:{'|'.join(names)})\d[ \x{{a0}}-]?\d"
        + "".join(rf"(?:[ \x{{a0}}-]?{_CLASSES[part[2]]}){{{part[1]}}}" for part in _PARTS.finditer(account))
        for account, names in countries.items()
    )
    return rf"\b(?i:{'|'.join(branches)})\b"


def iban(candidate: str) -> int:
    """The whole candidate, if it has its country's length and its check digits (ISO 7064 MOD 97-10) are right."""
    text = "".join(filter(str.isalnum, candidate))
    right = len(text) == _LENGTHS.get(text[:2].upper(), 0) and mod97(text[4:] + text[:4]) == 1
    return len(candidate) if right else 0


def bic(candidate: str) -> int:
    """The whole candidate, if its country exists."""
    return len(candidate) if candidate[4:6].upper() in _COUNTRIES else 0


_COUNTRIES: Final = frozenset(
    (
        " ".join(_ACCOUNTS)
        + " AF AG AI AM AO AR AU AW BB BD BF BJ BM BN BO BS BT BW BZ CA CD CF CG CI CK CL CM CN CO CU CV"
        " CW DM DZ EC ER ET FJ FM GA GD GG GH GM GN GQ GU GW GY HK HT ID IM IN IR JE JM JP KE KG KH KI KM KN KP KR KY LA LK"
        " LR LS MA MG MH ML MM MO MP MS MV MW MX MY MZ NA NC NE NG NP NR NU NZ PA PE PF PG PH PR PW PY RW SB SG SL SN SR SS"
        " SX SY SZ TC TD TG TH TJ TM TO TT TV TW TZ UG US UY UZ VC VE VN VU WF WS ZA ZM ZW"
    ).split()
)

MONEY: Final[dict[str, tuple[Shape, ...]]] = {
    "card": (Shape(_card_pattern(), card, unless=r"\d[.,]", skip=past_row),),
    "iban": (Shape(_iban_pattern(), iban, walk=False),),
    "bic": (
        Shape(
            r"\b[A-Z]{6}[A-Z2-9][A-NP-Z0-9](?:[A-Z0-9]{3})?\b",
            bic,
            words=r"swift(?:[ /-]?(?:code|bic))?|bic(?:[ -]?code)?|bank identifier(?: code)?",
        ),
    ),
}
"""Shapes by type."""
