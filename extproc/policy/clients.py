"""Who asks: end users as request bodies name them, network addresses, and hosts of origins."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from extproc.policy.fields import at, members, plain

_USER: Final = (("user",), ("safety_identifier",), ("metadata", "user_id"))
_USERS: Final = frozenset({"user", "userid", "safetyidentifier", "enduser", "enduserid"})


def users(body: dict[str, Any]) -> list[Any]:
    """Every end user a body names, in whatever field and spelling."""
    found: list[tuple[str, Any]] = []
    for member in members(body):
        found.append((member.name, member.value))
        if member.name == "metadata" and isinstance(member.value, dict):
            found += [(plain(key), value) for key, value in member.value.items()]
    return [value for name, value in found if name in _USERS and value is not None]


def is_named(body: dict[str, Any]) -> bool:
    """Whether a body names its end user where a provider looks."""
    values = [at(body, path) for path in _USER]
    return any(isinstance(value, str) and person(value) for value in values)


def person(user: Any) -> str:
    """An end user as people read the name: without case, blanks around it and invisible characters."""
    text = unicodedata.normalize("NFKC", str(user)).casefold()
    return "".join(char for char in text if unicodedata.category(char) not in ("Cf", "Cc")).strip()


def host(text: str) -> str:
    """The host of an origin or of a page's address; a bare host is one. Empty if there is none."""
    text = text.strip().casefold()
    try:
        name = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    return name.rstrip(".")


def hostname(text: str) -> str:
    """The text, if it has a host. Raises ValueError."""
    if not host(text):
        raise ValueError("is not a host")
    return text


def network(text: str) -> str:
    """The text without blanks, if it is an address or network. Raises ValueError."""
    ip_network(text.strip(), strict=False)  # its ValueError says what is wrong
    return text.strip()


class Addresses:
    """Networks; IPv4 written as IPv6 (``::ffff:10.0.0.1``) is IPv4, in the list and of the client."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [_unmapped(each) for each in networks]

    def has(self, text: str) -> bool | None:
        """Whether an address is in one of them; None if it is not known what address it is."""
        try:
            address = ip_address(text.strip().strip("[]").partition("%")[0])
        except ValueError:
            return None
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)


def _unmapped(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and (mapped := network.network_address.ipv4_mapped):
        return IPv4Network((mapped, network.prefixlen - 96))
    return network
