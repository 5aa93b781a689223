"""National numbers of India, Singapore, Korea, Japan, China, Australia and South Africa.

Sources: UIDAI (Aadhaar), the Indian income tax department and GSTN, ICA Singapore, GB 11643 (China), the Australian tax
office and Medicare; check digits from python-stdnum, those it does not know by the published rule.
"""

from __future__ import annotations

import re
import string
from typing import Final

from extproc.policy.pii.checks import luhn, verhoeff, weighted
from extproc.policy.pii.shape import Shape, checked, whole

_PART: Final = r"\d[.,:/-]|[#$€£]"
_DAY: Final = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"


def _aadhaar(digits: str) -> bool:
    return verhoeff(digits) and digits != digits[::-1]


_SERIES: Final = {"S": (0, "JZIHGFEDCBA"), "T": (4, "JZIHGFEDCBA"), "F": (0, "XWUTRQPNMLK"), "G": (4, "XWUTRQPNMLK"),
                  "M": (3, "KLJNPQRTUWX")}  # fmt: skip


def nric(text: str) -> bool:
    """The check letter of a Singaporean NRIC or FIN: weights 2 7 6 5 4 3 2, modulo 11, an alphabet for each series."""
    offset, letters = _SERIES[text[0].upper()]
    at = (weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2), 11) + offset) % 11
    if text[0].upper() == "M":
        at = 10 - at
    return letters[at] == text[8].upper()


def medicare(digits: str) -> bool:
    """The ninth digit of an Australian Medicare card: weights 1 3 7 9 1 3 7 9, modulo 10."""
    return weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9), 10) == int(digits[8])


def resident(text: str) -> bool:
    """The last character of a Chinese resident number: ISO 7064 MOD 11-2."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[weighted(text[:17], weights, 11)] == text[17].upper()


_GROUPED: Final = re.compile(r"\d{4}([ -])\d{4}\1\d{4}(?:\1\d{4})?\Z")


def aadhaar(candidate: str) -> int:
    """Twelve digits in groups of four with one separator, Verhoeff right; a fourth group makes it something else."""
    if not _GROUPED.match(candidate) or len(candidate) > 14:
        return -len(candidate)
    return len(candidate) if _aadhaar(candidate.replace(candidate[4], "")) else 0


def pan(candidate: str) -> int:
    """An Indian permanent account number of the right shape: its number is not zero."""
    text = candidate.upper()
    return len(candidate) if text.isascii() and text[5:9] != "0000" else 0


_BASE36: Final = (string.digits + string.ascii_uppercase).encode()
_ONCE: Final = bytes.maketrans(_BASE36, bytes(range(36)))
_TWICE: Final = bytes.maketrans(_BASE36, bytes(sum(divmod(2 * value, 36)) for value in range(36)))


def gstin(candidate: str) -> int:
    """An Indian tax number of the right shape: its state, the account number in it, and Luhn's check to base 36."""
    text = candidate.upper()
    if not text.isascii() or not "01" <= text[:2] <= "37" or text[5] not in _HOLDERS or text[7:11] == "0000":
        return 0
    raw = text.encode()
    return 0 if (sum(raw[-1::-2].translate(_ONCE)) + sum(raw[-2::-2].translate(_TWICE))) % 36 else len(candidate)


_HOLDERS: Final = frozenset("ABCFGHJKLPT")

ASIA: Final[dict[str, tuple[Shape, ...]]] = {
    "in_aadhaar": (
        Shape(r"\b[2-9]\d{3}[ -]\d{4}[ -]\d{4}(?:[ -]\d{4})?\b", aadhaar, unless=_PART + r"|\d "),
        Shape(
            r"\b[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}\b",
            whole(_aadhaar),
            words=r"aadhaa?r(?: (?:number|no|card|id|#))?|adhaa?r|uid(?:ai)?|आधार",
        ),
    ),
    "in_pan": (
        Shape(r"\b(?i:[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z])\b", pan),
        Shape(r"\b(?i:[A-Z]{5}\d{4}[A-Z])\b", words=r"pan(?: (?:card|number|no|#))?|permanent account(?: number)?"),
    ),
    "in_gstin": (Shape(r"\b(?i:[0-3]\d[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[0-9A-Z])\b", gstin),),
    "in_vid": (
        Shape(r"\b[2-9]\d{3}(?:[ -]?\d{4}){3}\b", whole(verhoeff), words=r"vid|virtual id|aadhaa?r|आधार", unless=_PART),
    ),
    "in_voter": (
        Shape(
            r"\b(?i:[A-Z]{3}\d{7})\b",
            words=r"voter(?:'?s)?(?: ?(?:id|card|identity))?|epic|elector(?:al)?|मतदाता",
        ),
    ),
    "in_passport": (
        Shape(r"\b(?i:[A-PR-WY])[1-9]\d ?\d{4}[1-9]\b", words=r"passports?|passport ?(?:number|no|#)?|पासपोर्ट"),
    ),
    "in_ifsc": (Shape(r"\b(?i:[A-Z]{4})0(?i:[A-Z0-9]{6})\b", words=r"ifsc?(?: code)?|neft|rtgs|imps|bank|branch"),),
    "sg_nric": (
        Shape(r"\b(?i:[STFGM])\d{7}(?i:[A-Z])\b", whole(nric)),
        Shape(r"\b(?i:[STFGM])\d{7}(?i:[A-Z])\b", words=r"nric|fin|identity card|ic(?: no)?"),
    ),
    "kr_rrn": (Shape(rf"\b\d{{2}}{_DAY}-?[0-9]\d{{6}}\b", checked("kr.rrn"), unless=_PART),),
    "jp_my_number": (
        Shape(
            r"\b\d{4}[ -]?\d{4}[ -]?\d{4}\b",
            checked("jp.in_"),
            words=r"my ?number|individual number|マイナンバー|個人番号",
            unless=_PART,
        ),
    ),
    "cn_id": (Shape(rf"\b[1-6]\d{{5}}(?:19|20)\d{{2}}{_DAY}\d{{3}}[0-9Xx]\b", whole(resident), unless=_PART),),
    "au_tfn": (
        Shape(
            r"\b\d{3}[ -]?\d{3}[ -]?\d{2,3}\b",
            checked("au.tfn"),
            words=r"tfn|tax file(?: (?:number|no))?",
            unless=_PART,
        ),
    ),
    "au_medicare": (
        Shape(
            r"\b[2-6]\d{3}[ -]?\d{5}[ -]?\d(?:[ /-]?\d)?\b", whole(medicare), words=r"medicare(?: (?:card|number|no))*"
        ),
    ),
    "au_abn": (Shape(r"\b[1-9]\d ?\d{3} ?\d{3} ?\d{3}\b", checked("au.abn"), words=r"abn|australian business number"),),
    "za_id": (Shape(rf"\b\d{{2}}{_DAY} ?\d{{4}} ?[012]\d{{2}}\b", whole(luhn), unless=_PART),),
}
"""Shapes by type."""
