"""Cards by network, IBAN by country."""

import random

import pytest

from extproc.policy.pii.checks import luhn, mod97
from extproc.policy.pii.money import bic, card, iban


def mod97_of(country, account):
    """An IBAN with the right check digits (ISO 13616)."""
    return f"{country}{98 - mod97(account + country + '00'):02d}{account}"


def complete(begin, length):
    """A number of this length with the right last digit."""
    body = begin.ljust(length - 1, "0")
    return next(body + digit for digit in "0123456789" if luhn(body + digit))


@pytest.mark.parametrize(
    ("begin", "length", "yes"),
    [
        ("4", 13, True), ("4", 16, True), ("4", 19, True), ("4", 15, False), ("51", 16, True), ("2221", 16, True),
        ("2720", 16, True),
        ("2721", 16, False), ("2220", 16, False), ("34", 15, True), ("36", 14, True), ("6011", 16, True), ("6010", 16, True),
        ("3528", 16, True), ("3527", 16, False), ("2131", 15, True), ("5018", 12, True), ("1", 16, False), ("9", 16, False),
    ],
)  # fmt: skip
def test_a_card_has_a_networks_range_and_length(begin, length, yes):
    number = complete(begin, length)
    assert bool(card(number)) is yes
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert card(wrong) == 0


def test_a_security_code_behind_a_card_is_left_out():
    assert card("4111 1111 1111 1111") == 19
    assert card("4111 1111 1111 1111 123") == 19
    assert card("4111 1111 1111 1112 123") == 0


@pytest.mark.parametrize(
    ("country", "account"),
    [
        ("DE", "1" * 18),
        ("NO", "2" * 11),
        ("MT", "ABCD" + "3" * 23),
        ("GB", "WEST" + "4" * 14),
        ("LC", "BOSL" + "5" * 24),
    ],
)
def test_an_iban_needs_its_countrys_length_and_check_digits(country, account):
    good = mod97_of(country, account)
    assert iban(good) == iban(good.lower()) == len(good)
    assert iban(good + "9") == iban(good[:-1]) == 0
    dice = random.Random(1)
    for _ in range(30):
        at = dice.randrange(2, len(good))
        other = dice.choice([digit for digit in "0123456789" if digit != good[at]])
        assert iban(good[:at] + other + good[at + 1 :]) == 0


def test_a_bank_code_is_of_a_country():
    assert bic("DEUTDEFF") == 8
    assert bic("DEUTXXFF") == 0
