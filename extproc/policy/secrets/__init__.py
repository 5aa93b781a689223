"""Secrets and credentials: families with the shapes of their secrets as data, and the rules made of them.

Owns: which families and groups there are. A new family is an entry in the module of its group.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from extproc.policy.secrets import cloud, generic, keys, llm, messaging, payment, saas, vcs
from extproc.policy.secrets.family import Family

ENTROPY: Final = 3.0
"""Least entropy of values without a shape, in bits a character."""


def families(entropy: float = ENTROPY) -> tuple[Family, ...]:
    """All families; those without a shape of their own come last, so that a match is named after the most telling one."""
    named = (llm, cloud, vcs, messaging, payment, saas, keys)
    return (*(family for module in named for family in module.FAMILIES), *generic.families(entropy))


GROUPS: Final = tuple(dict.fromkeys(family.group for family in families()))
"""Names of groups: ``cloud``, ``llm``, …"""

NAMES: Final = ("all", *GROUPS, *(family.name for family in families()))
"""All that ``find`` and ``except`` may name."""


def catalogue() -> str:
    """Groups with their families, for people."""
    return "; ".join(
        f"`{group}`: {', '.join(family.name for family in families() if family.group == group)}" for group in GROUPS
    )


def choose(find: Iterable[str], without: Iterable[str], entropy: float = ENTROPY) -> list[Family]:
    """The families that ``find`` names and ``without`` does not, each by its name, by its group or as ``all``."""
    wanted, unwanted = set(find), set(without)
    return [
        family
        for family in families(entropy)
        if wanted & (names := {"all", family.group, family.name}) and not unwanted & names
    ]
