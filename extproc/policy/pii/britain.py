"""National numbers of the United Kingdom.

Sources: NHS Data Dictionary, HMRC manual NIM39110 (prefixes of National Insurance numbers), DVLA (driver numbers), Royal
Mail (postcodes); check digits from python-stdnum.
"""

from __future__ import annotations

from typing import Final

from extproc.policy.pii.checks import nhs
from extproc.policy.pii.shape import Shape, checked, no_longer_than, whole

_PART: Final = r"\d[.,:/-]|[#$€£]"
_NINO: Final = (
    r"(?:[ACEHJLMOPRSWXY][A-CEGHJ-NPR-TW-Z]|B[A-CEHJ-NPR-TW-Z]|G[ACEGHJ-NPR-TW-Z]|[KT][A-CEGHJ-MPR-TW-Z]|N[A-CEGHJL-NPR-SW-Z]"
    r"|Z[A-CEGHJ-NPR-TW-Y])"
)

BRITAIN: Final[dict[str, tuple[Shape, ...]]] = {
    "uk_nhs": (
        Shape(
            r"\b\d{3} \d{3} \d{4}\b|\b\d{3}-\d{3}-\d{4}\b", whole(nhs), unless=_PART + r"|\d |\+\d |\+\d\d |\+\d{3} "
        ),
        Shape(r"\b\d{3}[ -]?\d{3}[ -]?\d{4}\b", whole(nhs), words=r"nhs(?: ?(?:number|no|num|#))?|patient(?: id)?"),
    ),
    "uk_nino": (Shape(rf"\b(?i:{_NINO}(?:[ -]?\d{{2}}){{3}}[ -]?[A-D])\b"),),
    "uk_utr": (
        Shape(
            r"\b\d{5} ?\d{5}K?\b",
            checked("gb.utr"),
            words=r"utr|unique taxpayer(?: reference)?(?: number)?|tax reference|self[ -]assessment",
        ),
    ),
    "uk_sort_code": (
        Shape(r"\b\d{2}[- ]?\d{2}[- ]?\d{2}\b", no_longer_than(8), words=r"sort[ -]?code|s/c", unless=_PART),
    ),
    "uk_account": (
        Shape(
            r"\b\d{8}\b",
            words=r"account(?: (?:number|no|num|#))?|acct?|acc no|sort[ -]?code|a/c(?: no)?",
            unless=r"\d[.,/]|[#$€£]",
        ),
    ),
    "uk_passport": (Shape(r"\b\d{9}\b", words=r"passports?|passport ?(?:number|no|num|#)?", unless=_PART),),
    "uk_driver": (
        Shape(
            r"\b(?i:(?:[A-Z]{1,5}9{0,4})\d(?:[05][1-9]|[16][0-2])(?:0[1-9]|[12]\d|3[01])\d[A-Z9]{2}\d[A-Z]{2})\b",
            no_longer_than(16),
        ),
    ),
    "uk_postcode": (
        Shape(
            r"\b(?i:[A-Z]{1,2}\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2})\b",
            words=r"post ?code|postal code|address|lives? (?:at|in)|house|flat|street|road|avenue|lane",
        ),
    ),
}
"""Shapes by type."""
