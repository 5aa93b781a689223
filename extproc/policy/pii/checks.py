"""Check digits that are looked at often: each as fast as Python allows. The rarer ones come from python-stdnum.

Sources: ISO/IEC 7812-1 annex B (Luhn), ISO 7064 (MOD 97-10), J. Verhoeff 1969, NHS Data Dictionary (modulus 11).
"""

from __future__ import annotations

from operator import mul
from typing import Final

_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))
_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))


def luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812-1 annex B."""
    raw = digits.encode()
    return (sum(raw[-1::-2].translate(_PLAIN)) + sum(raw[-2::-2].translate(_DOUBLED))) % 10 == 0


def mod97(text: str) -> int:
    """The remainder of ISO 7064 MOD 97-10 over digits and letters (A is 10, Z is 35, either case)."""
    return int("".join(char if char.isdigit() else str(int(char, 36)) for char in text)) % 97


_TURN: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _products() -> tuple[bytes, ...]:
    """The multiplication table of the dihedral group of order ten."""
    rows = []
    for left in range(10):
        turned = left >= 5
        row = []
        for right in range(10):
            low = (left % 5 - right % 5) % 5 if turned else (left % 5 + right % 5) % 5
            row.append(low + 5 * (turned != (right >= 5)))
        rows.append(bytes(row))
    return tuple(rows)


def _turns() -> tuple[bytes, ...]:
    rows = [bytes(range(10))]
    for _ in range(7):
        rows.append(bytes(rows[-1][_TURN[digit]] for digit in range(10)))
    return tuple(rows)


_PRODUCT: Final = _products()
_TURNED: Final = _turns()


def verhoeff(digits: str) -> bool:
    """Verhoeff's check over the dihedral group of order ten."""
    check = 0
    for place, char in enumerate(reversed(digits)):
        check = _PRODUCT[check][_TURNED[place & 7][ord(char) - 48]]
    return check == 0


def weighted(digits: str, weights: tuple[int, ...], modulus: int) -> int:
    """The sum of digits times weights, modulo ``modulus``."""
    total: int = sum(map(mul, digits.encode().translate(_PLAIN), weights))
    return total % modulus


def nhs(digits: str) -> bool:
    """The modulus 11 check of an NHS number."""
    return len(digits) == 10 and weighted(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1), 11) == 0 and len(set(digits)) > 1
