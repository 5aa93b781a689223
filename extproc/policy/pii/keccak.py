"""Keccak-256 as Ethereum uses it: the permutation of FIPS 202 with the padding of the original submission.

The standard library has SHA3-256, which pads differently. One block (135 bytes) is enough for an address.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = (1 << 64) - 1
_RATE: Final = 136


def _constants() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The constants of the rounds (bits of a linear feedback register) and the rotation of each lane."""
    register, rounds = 1, []
    for _ in range(24):
        constant = 0
        for power in range(7):
            constant |= (register & 1) << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        rounds.append(constant)
    turns, x, y = [0] * 25, 1, 0
    for step in range(24):
        turns[x + 5 * y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(rounds), tuple(turns)


_ROUNDS, _TURNS = _constants()
_MOVES: Final = tuple((x + 5 * y, y + 5 * ((2 * x + 3 * y) % 5), _TURNS[x + 5 * y]) for x in range(5) for y in range(5))
_ROWS: Final = tuple((row, row + x, row + (x + 1) % 5, row + (x + 2) % 5) for row in range(0, 25, 5) for x in range(5))


def keccak_256(data: bytes) -> bytes:
    """The hash of at most 135 bytes.

    Raises:
        ValueError: there are more.
    """
    if len(data) >= _RATE:
        raise ValueError("more than one block")
    block = bytearray(data.ljust(_RATE, b"\0"))
    block[len(data)] ^= 1
    block[-1] ^= 0x80
    lanes = [int.from_bytes(block[at : at + 8], "little") for at in range(0, _RATE, 8)] + [0] * 8
    for constant in _ROUNDS:
        lanes = _round(lanes, constant)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _round(a: list[int], constant: int) -> list[int]:
    parity = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
    mixed = [parity[x - 1] ^ ((parity[(x + 1) % 5] << 1 | parity[(x + 1) % 5] >> 63) & _MASK) for x in range(5)]
    b = [0] * 25
    for source, target, turn in _MOVES:
        lane = a[source] ^ mixed[source % 5]
        b[target] = (lane << turn | lane >> (64 - turn)) & _MASK
    out = [b[one] ^ (~b[two] & _MASK & b[three]) for _, one, two, three in _ROWS]
    out[0] ^= constant
    return out
