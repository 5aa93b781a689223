"""Addresses on networks: e-mail, IP, MAC, and the login in a URL.

Sources: RFC 5321 and 5322 (lengths of e-mail addresses), RFC 4291 (IPv6), IEEE 802 (MAC), RFC 3986 (user information).
"""

from __future__ import annotations

import ipaddress
from typing import Final

from extproc.policy.pii.shape import Shape

_LETTERS: Final = r"\x{C0}-\x{24F}\x{370}-\x{52F}"  # Latin, Greek, Cyrillic: scripts that separate words by blanks
_HEX: Final = "[0-9A-Fa-f]"
_GROUPS_MAX: Final = 40
_IPV6_MAX: Final = 46


def ipv4(candidate: str) -> int:
    """The whole candidate, if its four groups are bytes and it is not part of a longer dotted number."""
    groups = candidate.split(".")
    return len(candidate) if len(groups) == 4 and all(int(group) <= 255 for group in groups) else -len(candidate)


def ipv6(candidate: str) -> int:
    """The address a candidate is, if it says more than ``::1`` or a C++ name (``std::byte``) does."""
    if len(candidate) > _IPV6_MAX or candidate.count("::") > 1:
        return -len(candidate)
    text = candidate.rstrip(".")
    if text.endswith(":") and not text.endswith("::"):
        text = text[:-1]
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return -len(candidate)
    telling = sum(char.isalnum() for char in text) >= 4 and any(char.isdigit() for char in text)
    return len(text) if telling else -len(candidate)


def mac(candidate: str) -> int:
    """The whole candidate, if it has six or eight pairs (or three groups of four) and one separator throughout."""
    one = len({char for char in candidate if char in ":-."}) == 1
    groups = candidate.replace("-", ":").replace(".", ":").split(":")
    right = one and (len(groups) in (6, 8) or len(groups[0]) == 4) and len(set(candidate)) > 2
    return len(candidate) if right else -len(candidate)


def login(candidate: str) -> tuple[int, int]:
    """The user information in a URL: what stands between ``//`` and ``@``."""
    return candidate.index("//") + 2, len(candidate) - 1


NETWORK: Final[dict[str, tuple[Shape, ...]]] = {
    "email": (
        Shape(
            rf"[A-Za-z0-9_{_LETTERS}][A-Za-z0-9._%+'{_LETTERS}-]{{0,63}}@"
            rf"(?:[A-Za-z0-9{_LETTERS}-]{{1,63}}\.){{1,5}}(?:[Xx][Nn]--[A-Za-z0-9-]{{1,59}}|[A-Za-z{_LETTERS}]{{2,24}})",
            walk=False,
        ),
    ),
    "ip": (
        Shape(r"\b\d{1,3}(?:\.\d{1,3}){3,30}\b", ipv4),
        Shape(
            rf"\b{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{7,{_GROUPS_MAX}}}\b"
            rf"|(?:\b{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{0,6}})?::[0-9A-Fa-f:.]{{0,45}}",
            ipv6,
            unless=r"[\w:]",
        ),
    ),
    "mac": (
        Shape(rf"\b{_HEX}{{2}}(?:[:-]{_HEX}{{2}}){{5,{_GROUPS_MAX}}}\b", mac, unless=r"[\w][:-]"),
        Shape(rf"\b{_HEX}{{4}}\.{_HEX}{{4}}\.{_HEX}{{4}}\b", mac, unless=r"\w\."),
    ),
    "url_login": (Shape(r"\b(?i:[a-z][a-z0-9+.-]{1,20})://[^\s/?#@\"'<>]{1,128}@", login, walk=False),),
}
"""Shapes by type."""
