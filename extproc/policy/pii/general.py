"""Personal data of any country: dates of birth, places on the globe, postal codes.

Names of people and street addresses have no shape that a bounded expression could tell from other words: they are for
a moderation service with a language model.
"""

from __future__ import annotations

from typing import Final

from extproc.policy.pii.shape import Shape

_BORN: Final = (
    r"born(?: on)?|birth|birth ?dates?|birthdays?|d\.?o\.?b\.?|bday|n[eé]e? le|date de naissance|geboren(?: am)?|geb\.?"
    r"|geburts(?:datum|tag)|nacid[oa](?: el)?|fecha de nacimiento|nat[oa] il|data di nascita|nascid[oa]|data de nascimento"
    r"|urodzon[ya]|geboortedatum|родил(?:ся|ась)|дата рождения|出生(?:日期)?|生年月日|생년월일|जन्म ?तिथि"
)
_DAY: Final = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH: Final = r"(?:0?[1-9]|1[0-2])"
_YEAR: Final = r"(?:(?:19|20)\d{2}|\d{2})"
_NAME: Final = r"(?i:[a-z\x{C0}-\x{24F}\x{430}-\x{44F}]{3,10}\.?)"


def coordinates(candidate: str) -> int:
    """The whole candidate, if it is a latitude and a longitude."""
    latitude, longitude = (part.strip() for part in candidate.split(","))
    return len(candidate) if abs(float(latitude)) <= 90 and abs(float(longitude)) <= 180 else 0


GENERAL: Final[dict[str, tuple[Shape, ...]]] = {
    "birth_date": (
        Shape(
            rf"\b(?:{_DAY}[-./ ]{_MONTH}[-./ ]{_YEAR}|{_MONTH}[-/]{_DAY}[-/]{_YEAR}|(?:19|20)\d{{2}}[-./]{_MONTH}[-./]{_DAY}"
            rf"|{_DAY}(?:st|nd|rd|th)?\.?(?: of| de)? {_NAME}(?: de|,)? (?:19|20)\d{{2}}"
            rf"|(?i:[a-z]{{3,9}}\.?) {_DAY}(?:st|nd|rd|th)?,? (?:19|20)\d{{2}})\b",
            words=_BORN,
            walk=False,
        ),
        Shape(rf"\b(?:19|20)\d{{2}}[年년]\s?{_MONTH}[月월]\s?{_DAY}[日일]", words=_BORN),
    ),
    "coordinates": (
        Shape(r"[-+]?\b\d{1,2}\.\d{4,10}, ?[-+]?\d{1,3}\.\d{4,10}\b", coordinates, unless=r"[\d.,]|[\d.,] "),
    ),
    "us_zip": (
        Shape(r"\b\d{5}(?:-\d{4})?\b", words=r"zip(?:[ -]?codes?)?|postal codes?|address", unless=r"\d[.,:/-]|[#$€£]"),
        Shape(
            r"\b\d{5}-\d{4}\b",
            words=r"A[LKZR]|C[AOT]|DE|FL|GA|HI|I[DLNA]|K[SY]|LA|M[EDAINSOT]|N[EVHJMYCD]|O[HKR]|PA|RI|S[CD]"
            r"|T[NX]|UT|V[TA]|W[AVIY]|DC",
            unless=r"\d[.,:/-]|[#$€£]",
        ),
    ),
}
"""Shapes by type."""
