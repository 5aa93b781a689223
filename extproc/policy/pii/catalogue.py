"""All types of personal data, and the names of groups and country packs that stand for several.

A type whose name begins with a country's letters (``us_ssn``) belongs to that country's pack.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from extproc.policy.pii.america import AMERICA
from extproc.policy.pii.asia import ASIA
from extproc.policy.pii.britain import BRITAIN
from extproc.policy.pii.crypto import CRYPTO
from extproc.policy.pii.europe import EUROPE
from extproc.policy.pii.general import GENERAL
from extproc.policy.pii.money import MONEY
from extproc.policy.pii.network import NETWORK
from extproc.policy.pii.phone import PHONE
from extproc.policy.pii.shape import Shape

TYPES: Final[dict[str, tuple[Shape, ...]]] = (
    NETWORK | PHONE | MONEY | AMERICA | BRITAIN | EUROPE | ASIA | CRYPTO | GENERAL
)
"""Shapes by type; where two types match the same characters, the one listed first names them."""

DEFAULT: Final = (
    "email", "phone", "card", "iban", "ip",
    "us_ssn", "us_itin", "us_mbi", "uk_nhs", "uk_nino", "in_aadhaar", "in_pan", "in_gstin",
)  # fmt: skip
"""What is looked for unless the configuration says otherwise: types whose shape and check are strong."""

_EUROPE: Final = tuple(name for name in EUROPE if not name.startswith(("ch_", "no_")))


def _packs() -> dict[str, tuple[str, ...]]:
    packs: dict[str, tuple[str, ...]] = {}
    for name in TYPES:
        country, _, rest = name.partition("_")
        if rest and len(country) == 2:
            packs[country] = (*packs.get(country, ()), name)
    packs["norway"] = packs.pop("no")  # YAML reads `no` as a boolean
    return packs | {"eu": _EUROPE}


GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "default": DEFAULT,
    "all": tuple(TYPES),
    "contact": ("email", "phone", "uk_postcode", "us_zip"),
    "financial": ("card", "iban", "bic", "us_routing", "us_account", "uk_sort_code", "uk_account", "in_ifsc"),
    "network": tuple(NETWORK),
    "crypto": tuple(CRYPTO),
    "national": tuple(name for name in (*AMERICA, *BRITAIN, *EUROPE, *ASIA)),
    **_packs(),
}
"""Names that stand for several types: groups and country packs."""


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """The types that these names of types, groups and packs stand for, in the order of ``TYPES``, each once.

    Raises:
        ValueError: a name is unknown; says which, and what there is.
    """
    wanted: set[str] = set()
    for name in names:
        if name in TYPES:
            wanted.add(name)
        elif name in GROUPS:
            wanted.update(GROUPS[name])
        else:
            raise ValueError(f"'{name}' is no type of personal data; there are {', '.join([*GROUPS, *TYPES])}")
    return tuple(name for name in TYPES if name in wanted)
