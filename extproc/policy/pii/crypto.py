"""Addresses of crypto currencies, confirmed by their checksums.

Sources: Bitcoin's base58check and version bytes, BIP 173 and BIP 350 (bech32, bech32m), EIP-55 (Ethereum). A Monero address is
known by its shape alone; a Solana address is any 32 bytes and needs a word before it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from extproc.policy.pii.shape import Shape
from extproc.policy.rules import Accept

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {char: value for value, char in enumerate(_BASE58)}
_CLASS58: Final = "[1-9A-HJ-NP-Za-km-z]"
_BASE32: Final = {char: value for value, char in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32, _BECH32M = 1, 0x2BC830A3


def _base58(text: str, size: int) -> bytes | None:
    """The bytes of a base58 text; None if they are not ``size``."""
    number = 0
    for char in text:
        number = number * 58 + _DIGITS[char]
    length = (number.bit_length() + 7) // 8 + len(text) - len(text.lstrip("1"))
    return number.to_bytes(size, "big") if length == size else None


def base58check(*versions: int) -> Accept:
    """The whole candidate, if it is one of these version bytes, 20 bytes and the right checksum."""

    def accept(candidate: str) -> int:
        raw = _base58(candidate, 25)
        if raw is None or raw[0] not in versions:
            return 0
        return len(candidate) if sha256(sha256(raw[:21]).digest()).digest()[:4] == raw[21:] else 0

    return accept


def bech32(candidate: str) -> int:
    """The whole candidate, if it is a segregated witness address: one case, version, length and checksum right."""
    text = candidate.lower()
    if candidate not in (text, candidate.upper()):
        return 0
    prefix, _, payload = text.rpartition("1")
    if any(char not in _BASE32 for char in payload):
        return 0
    values = [_BASE32[char] for char in payload]
    spread = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    wanted = _BECH32M if values[0] else _BECH32
    size = (len(values) - 7) * 5 // 8
    right = values[0] <= 16 and (size in (20, 32) if values[0] == 0 else 2 <= size <= 40)
    return len(candidate) if right and _polymod(spread + values) == wanted else 0


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= term
    return check


def ethereum(candidate: str) -> int:
    """The whole candidate, unless it is a stand-in.

    Its capitals may say a checksum (EIP-55); but many write it without, and computing one takes 200 µs.
    """
    return len(candidate) if len(set(candidate[2:].lower())) > 3 else 0


def solana(candidate: str) -> int:
    """The whole candidate, if it is 32 bytes."""
    return len(candidate) if _base58(candidate, 32) else 0


CRYPTO: Final[dict[str, tuple[Shape, ...]]] = {
    "bitcoin": (
        Shape(rf"\b[13]{_CLASS58}{{25,34}}\b", base58check(0x00, 0x05)),
        Shape(r"\b(?i:bc1|tb1)[02-9ac-hj-np-zAC-HJ-NP-Z]{11,71}\b", bech32),
    ),
    "ethereum": (Shape(r"\b0[xX][0-9a-fA-F]{40}\b", ethereum),),
    "litecoin": (
        Shape(rf"\b[LM]{_CLASS58}{{25,34}}\b", base58check(0x30, 0x32)),
        Shape(r"\b(?i:ltc1)[02-9ac-hj-np-zAC-HJ-NP-Z]{11,71}\b", bech32),
    ),
    "dogecoin": (Shape(rf"\b[D9A]{_CLASS58}{{25,34}}\b", base58check(0x1E, 0x16)),),
    "tron": (Shape(rf"\bT{_CLASS58}{{33}}\b", base58check(0x41)),),
    "monero": (Shape(rf"\b[48][0-9AB]{_CLASS58}{{93}}(?:{_CLASS58}{{11}})?\b"),),
    "solana": (Shape(rf"\b{_CLASS58}{{32,44}}\b", solana, words=r"sol(?:ana)?|phantom|wallet|spl"),),
}
"""Shapes by type."""
