"""National numbers of the European Union and its neighbours.

Sources: each country's published rule through python-stdnum; numbers with a weak check are only looked for after a word
that names them.
"""

from __future__ import annotations

from typing import Final

from extproc.policy.pii.shape import Shape, checked

_PART: Final = r"\d[.,:/-]|[#$€£]"
_MONTH: Final = r"(?:0[1-9]|1[0-2])"
_DAY: Final = r"(?:0[1-9]|[12]\d|3[01])"
_NUMBER: Final = r"(?: ?(?:number|nummer|no|nr|num|#)\.?)?"

_AFM: Final = "[\u03b1\u0391]\\.?[\u03c6\u03a6]\\.?[\u03bc\u039c]\\.?"  # the Greek letters A, Ph, M
_VAT: Final = (
    r"\b(?:ATU\d{8}|BE[ .]?[01]?\d{3}\.?\d{3}\.?\d{3}|BG\d{9,10}|CY\d{8}[A-Z]|CZ\d{8,10}|DE ?\d{9}|DE ?\d{3} \d{3} \d{3}"
    r"|DK ?\d{2} ?\d{2} ?\d{2} ?\d{2}|E[EL] ?\d{9}|ES ?[A-Z0-9]\d{7}[A-Z0-9]|FI ?\d{8}|FR ?[A-Z0-9]{2} ?\d{3} ?\d{3} ?\d{3}"
    r"|GB ?\d{3} ?\d{4} ?\d{2}|GB ?\d{9}(?:\d{3})?|HR\d{11}|HU\d{8}|IE ?\d[0-9A-Z+*]\d{5}[A-Z]{1,2}|IT ?\d{11}"
    r"|LT\d{9}(?:\d{3})?"
    r"|LU ?\d{8}|LV\d{11}|MT\d{8}|NL ?\d{9}B\d{2}|PL ?\d{10}|PT ?\d{9}|RO ?\d{4,10}|SE ?\d{12}|SI ?\d{8}|SK ?\d{10})\b"
)

_eu_vat: Final = checked("eu.vat")
_gb_vat: Final = checked("gb.vat")


def vat(candidate: str) -> int | tuple[int, int]:
    """The whole candidate, if its country's check holds: the Union's or the United Kingdom's."""
    return (_gb_vat if candidate.startswith("GB") else _eu_vat)(candidate)


EUROPE: Final[dict[str, tuple[Shape, ...]]] = {
    "eu_vat": (Shape(_VAT, vat, walk=False),),
    "de_tax_id": (
        Shape(
            r"\b[1-9]\d ?\d{3} ?\d{3} ?\d{3}\b",
            checked("de.idnr"),
            unless=_PART,
            words=(
                r"steuer-?(?:id|identifikationsnummer|identnummer|nummer|nr)|idnr|identifikationsnummer|tax id|tin|steuerliche"
            ),
        ),
    ),
    "fr_nir": (
        Shape(
            rf"\b[12] ?\d{{2}} ?(?:{_MONTH}|[2-4]\d|50) ?\d[0-9AB] ?\d{{3}} ?\d{{3}} ?\d{{2}}\b",
            checked("fr.nir"),
            unless=_PART,
        ),
    ),
    "es_dni": (
        Shape(r"\b\d{8}[ -]?(?i:[A-HJ-NP-TV-Z])\b", checked("es.dni"), unless=_PART),
        Shape(r"\b(?i:[XYZ])[ -]?\d{7}[ -]?(?i:[A-HJ-NP-TV-Z])\b", checked("es.nie")),
    ),
    "it_codice_fiscale": (
        Shape(
            r"\b(?i:[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z])\b",
            checked("it.codicefiscale"),
        ),
    ),
    "nl_bsn": (
        Shape(
            r"\b\d{3,4}[. ]?\d{2,3}[. ]?\d{3}\b",
            checked("nl.bsn"),
            words=rf"bsn{_NUMBER}|burgerservice{_NUMBER}|sofi{_NUMBER}|citizen service{_NUMBER}",
            unless=_PART,
        ),
    ),
    "be_national": (
        Shape(
            rf"\b\d{{2}}\.{_MONTH}\.{_DAY}-\d{{3}}\.\d{{2}}\b|\b\d{{2}}{_MONTH}{_DAY}\d{{5}}\b",
            checked("be.nn"),
            unless=_PART,
        ),
    ),
    "pl_pesel": (Shape(rf"\b\d{{2}}(?:[02468][1-9]|[13579][0-2]){_DAY}\d{{5}}\b", checked("pl.pesel"), unless=_PART),),
    "se_personnummer": (
        Shape(rf"\b(?:(?:19|20)\d{{2}}|\d{{2}}){_MONTH}{_DAY}[-+]?\d{{4}}\b", checked("se.personnummer"), unless=_PART),
    ),
    "dk_cpr": (
        Shape(rf"\b{_DAY}{_MONTH}\d{{2}}-\d{{4}}\b", checked("dk.cpr"), unless=_PART),
        Shape(
            rf"\b{_DAY}{_MONTH}\d{{2}} ?\d{{4}}\b", checked("dk.cpr"), words=rf"cpr{_NUMBER}|personnummer", unless=_PART
        ),
    ),
    "fi_hetu": (
        Shape(
            rf"\b{_DAY}{_MONTH}\d{{2}}[-+A-FU-Ya-fu-y]\d{{3}}[0-9A-FHJ-NPR-Ya-fhj-npr-y]\b",
            checked("fi.hetu"),
            unless=_PART,
        ),
    ),
    "no_fodselsnummer": (
        Shape(
            r"\b(?:[04][1-9]|[1256]\d|[37][01])(?:[048][1-9]|[159][0-2]) ?\d{2} ?\d{5}\b",
            checked("no.fodselsnummer"),
            unless=_PART,
        ),
    ),
    "pt_nif": (
        Shape(
            r"\b[1-35-9]\d{2} ?\d{3} ?\d{3}\b",
            checked("pt.nif"),
            unless=_PART,
            words=r"nif|contribuinte|n[uú]mero fiscal|identifica[cç][aã]o fiscal|tax id",
        ),
    ),
    "at_svnr": (
        Shape(
            rf"\b[1-9]\d{{3}} ?{_DAY}(?:0[1-9]|1[0-5])\d{{2}}\b",
            checked("at.vnr"),
            words=rf"svnr|sv-?{_NUMBER}|sozialversicherungs-?{_NUMBER}|versicherungs-?{_NUMBER}|vsnr|social security",
            unless=_PART,
        ),
    ),
    "ch_ahv": (Shape(r"\b756\.\d{4}\.\d{4}\.\d{2}\b|\b756\d{10}\b", checked("ch.ssn"), unless=_PART),),
    "ie_pps": (Shape(r"\b\d{7}(?i:[A-W][A-IWTX]?)\b", checked("ie.pps"), unless=_PART),),
    "ro_cnp": (Shape(rf"\b[1-9]\d{{2}}{_MONTH}{_DAY}\d{{6}}\b", checked("ro.cnp"), unless=_PART),),
    "cz_rc": (
        Shape(
            rf"\b\d{{2}}(?:[05][1-9]|[16][0-2]|[27][1-9]|[38][0-2]){_DAY}/\d{{3,4}}\b", checked("cz.rc"), unless=_PART
        ),
        Shape(
            rf"\b\d{{2}}[0-8]\d{_DAY}\d{{3,4}}\b",
            checked("cz.rc"),
            words=r"rodn[eéÉ] [cčČ][ií]slo|r[cčČ]|birth number",
            unless=_PART,
        ),
    ),
    "gr_afm": (Shape(r"\b\d{9}\b", checked("gr.vat"), words=rf"{_AFM}|afm|tax id|tin|vat", unless=_PART),),
    "bg_egn": (Shape(rf"\b\d{{2}}(?:[024][1-9]|[135][0-2]){_DAY}\d{{4}}\b", checked("bg.egn"), unless=_PART),),
    "hr_oib": (
        Shape(r"\b\d{11}\b", checked("hr.oib"), words=r"oib|osobni identifikacijski broj|tax id", unless=_PART),
    ),
}
"""Shapes by type."""
