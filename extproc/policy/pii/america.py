"""National numbers of the United States, Canada, Brazil and Mexico.

Sources: SSA (numbers issued), IRS publication 1635 and the ITIN ranges, ABA routing numbers, CMS (Medicare beneficiary
identifiers); check digits from python-stdnum.
"""

from __future__ import annotations

from typing import Final

from extproc.policy.pii.checks import weighted
from extproc.policy.pii.shape import Shape, checked, no_longer_than, whole

_SSN_AREA: Final = r"(?:00[1-9]|0[1-9]\d|[1-578]\d{2}|6[0-57-9]\d|66[0-57-9])"
_SSN_GROUP: Final = r"(?:0[1-9]|[1-9]\d)"
_SSN_SERIAL: Final = r"(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])"
_ITIN: Final = (r"9\d{2}", r"(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])", r"\d{4}")
_MORE: Final = r"(?:-\d)?"
_PART: Final = r"\d[.,:/-]|[#$€£]"
_MBI: Final = "[AC-HJKMNP-RT-Y]"


def _routing(digits: str) -> bool:
    return weighted(digits, (3, 7, 1) * 3, 10) == 0


AMERICA: Final[dict[str, tuple[Shape, ...]]] = {
    "us_ssn": (
        Shape(rf"\b{_SSN_AREA}-{_SSN_GROUP}-{_SSN_SERIAL}{_MORE}\b", no_longer_than(11), unless=_PART),
        Shape(
            rf"\b{_SSN_AREA}[ .-]?{_SSN_GROUP}[ .-]?{_SSN_SERIAL}\b",
            words=r"ssn?s?|ssns|ssid|soc(?:ial)?[ .-]?sec(?:urity)?(?: (?:number|no|num|#))?",
            unless=_PART,
        ),
    ),
    "us_itin": (
        Shape(rf"\b{'-'.join(_ITIN)}{_MORE}\b", no_longer_than(11), unless=_PART),
        Shape(
            rf"\b{'[ .-]?'.join(_ITIN)}\b",
            words=r"itins?|tax(?:payer)?[ -]?id(?:entification)?(?: number)?|tax ?id|tin",
            unless=_PART,
        ),
    ),
    "us_ein": (
        Shape(
            r"\b\d{2}-?\d{7}\b",
            checked("us.ein"),
            words=r"ein|fein|employer(?: id(?:entification)?)?(?: number)?|federal tax id",
            unless=_PART,
        ),
    ),
    "us_passport": (
        Shape(r"\b(?:[A-Za-z]\d{8}|\d{9})\b", words=r"passports?|passport ?(?:number|no|num|#)?|ppt", unless=_PART),
    ),
    "us_driver": (
        Shape(
            r"\b(?:[A-Za-z]{1,3}\d[A-Za-z0-9*]{4,12}|\d{5,14}|[A-Za-z]\d{3}-\d{4}-\d{4}|[A-Za-z]\d{2}-\d{2}-\d{4})\b",
            words=r"driv(?:er|ing)(?:'?s)? (?:licen[cs]e|permit)(?: ?(?:number|no|num|#))?|dl|dln|licen[cs]e (?:number|no)",
            unless=_PART,
        ),
    ),
    "us_routing": (
        Shape(
            r"\b(?:0\d|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)\d{2}-?\d{4}-?\d\b",
            whole(_routing),
            words=r"routing(?: transit)?(?: (?:number|no|num|#))?|aba|rtn",
            unless=_PART,
        ),
    ),
    "us_account": (
        Shape(
            r"\b\d{6,17}\b",
            words=r"(?:bank(?:ing)?|checking|savings?|debit)[ -]?(?:account|acct)(?: ?(?:number|no|num|#))?|account number",
            unless=_PART,
        ),
    ),
    "us_mbi": (Shape(rf"\b[1-9]{_MBI}(?:{_MBI}|\d)\d-?{_MBI}(?:{_MBI}|\d)\d-?{_MBI}{{2}}\d{{2}}\b"),),
    "ca_sin": (
        Shape(r"\b[1-79]\d{2}([ -])\d{3}[ -]\d{3}\b", checked("ca.sin"), unless=_PART + r"|\d "),
        Shape(
            r"\b[1-79]\d{8}\b",
            checked("ca.sin"),
            words=r"sin|social insurance(?: (?:number|no|num|#))?|nas|assurance sociale",
        ),
    ),
    "br_cpf": (
        Shape(r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b", checked("br.cpf"), unless=_PART),
        Shape(r"\b\d{11}\b", checked("br.cpf"), words=r"cpf|cadastro(?: de pessoas?)?", unless=_PART),
    ),
    "br_cnpj": (
        Shape(r"\b[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\d{2}\b", checked("br.cnpj"), unless=_PART),
        Shape(r"\b\d{14}\b", checked("br.cnpj"), words="cnpj", unless=_PART),
    ),
    "mx_curp": (Shape(r"\b(?i:[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d)\b", checked("mx.curp")),),
    "mx_rfc": (
        Shape(r"\b(?i:[A-ZÑ&]{3,4}[ -]?\d{6}[ -]?[0-9A-Z]{3})\b", checked("mx.rfc"), words=r"rfc|registro federal"),
    ),
}
"""Shapes by type."""
