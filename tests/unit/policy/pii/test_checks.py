"""Check digits: each sees every single wrong digit, and the values of their standards are right."""

import random
import re
import string
from collections import Counter

import pytest
import stdnum.in_.gstin
import stdnum.in_.pan

from extproc.policy.pii import asia
from extproc.policy.pii.catalogue import TYPES
from extproc.policy.pii.checks import luhn, mod97, nhs, verhoeff, weighted


@pytest.mark.parametrize(
    ("check", "number"),
    [(luhn, "4111111111111111"), (luhn, "378282246310005"), (luhn, "79927398713"), (verhoeff, "2363"),
     (verhoeff, "234123412346"), (nhs, "9434765870")],
)  # fmt: skip
def test_every_single_wrong_digit_is_seen(check, number):
    assert check(number)
    for at in range(len(number)):
        for digit in "0123456789":
            assert check(number[:at] + digit + number[at + 1 :]) is (digit == number[at])


def test_verhoeff_sees_every_two_neighbours_exchanged():
    number = "234123412346"
    for at in range(len(number) - 1):
        left, right = number[at], number[at + 1]
        assert verhoeff(number[:at] + right + left + number[at + 2 :]) is (left == right)


def test_mod97_reads_letters_as_numbers_in_either_case():
    assert mod97("3214282912345698765432161182") == 1
    assert mod97("370400440532013000DE89") == mod97("370400440532013000de89") == 1
    assert mod97("370400440532013000DE88") != 1


def test_an_nhs_number_is_ten_digits_not_all_alike():
    assert not nhs("0000000000")
    assert not nhs("943476587")
    assert weighted("12", (2, 1), 11) == 4


def test_indian_numbers_are_those_the_library_holds_valid():
    dice = random.Random(20261132)
    for check, library, type_, samples in (
        (asia.pan, stdnum.in_.pan, "in_pan", ("ACUPA7085R", "ACUPA0000R")),
        (asia.gstin, stdnum.in_.gstin, "in_gstin", ("27AAPFU0939F1ZV", "27AAPFU0000F1ZV", "00AAPFU0939F1ZV")),
    ):
        shape, said = re.compile(TYPES[type_][0].pattern, re.ASCII), Counter()
        for _ in range(4000):
            text = "".join(_near(char, dice) for char in dice.choice(samples))
            if shape.fullmatch(text):
                valid = library.is_valid(text)
                assert check(text) == (len(text) if valid else 0), text
                said[valid] += 1
        assert min(said[True], said[False]) > 50


def _near(char, dice):
    if dice.random() < 0.95:
        return char
    return dice.choice("0" + string.digits if char.isdigit() else string.ascii_letters)
