"""Wallets: the examples of the standards, and what is one character wrong."""

import pytest

from extproc.policy.pii.crypto import base58check, bech32, ethereum, solana
from tests.personal import base58, wallet


@pytest.mark.parametrize(
    "address",  # the examples of EIP-55
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_addresses_of_ethereum_are_found_whatever_their_checksum_says(address):
    assert ethereum(address) == 42
    assert ethereum(address.lower()) == 42
    at = next(at for at in range(2, 42) if address[at].isalpha())
    assert ethereum(address[:at] + address[at].swapcase() + address[at + 1 :]) == 42


def test_a_run_of_one_digit_is_no_address():
    assert ethereum("0x" + "0" * 40) == 0
    assert solana("1" * 32) == 32
    assert solana("2" * 32) == 0, "not 32 bytes"


@pytest.mark.parametrize(
    ("address", "yes"),  # the examples of BIP 173 and BIP 350
    [
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", True),
        ("tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", True),
        ("bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y", True),
        ("bc1sw50qgdz25j", True),
        ("bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", True),
        ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", False),  # bech32 where bech32m is due
        ("BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL", False),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", False),  # the other way round
        ("bc1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", False),  # two cases
        ("bc1gmk9yu", False),
        ("bc1qb", False),
    ],
)
def test_segregated_witness_addresses(address, yes):
    assert bool(bech32(address)) is yes


def test_base58check_needs_its_version_and_length():
    assert base58check(0)(wallet(0)) == len(wallet(0))
    assert base58check(5)(wallet(0)) == 0
    assert base58check(0)(base58(b"\0" * 24)) == 0
