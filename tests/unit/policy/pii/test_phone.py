"""Telephone numbers: lengths by number plan, and what is a date."""

import pytest

from extproc.policy.pii.phone import digits, international, national


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("+49 30 901820", True),
        ("+49 (0) 30 901820", True),
        ("+999 123456", False),
        ("+1 23", False),
        ("+1 415 555 0132 x77", True),
        ("+1 415 555", False),
        ("0044 20 7946 0958", True),
        ("+800 1234 5678", True),
        ("+10 000 000", False),
    ],
)
def test_an_international_number_has_a_length_of_its_plan(text, yes):
    assert bool(international(text)) is yes


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("030 9018200", True),
        ("030 901", False),
        ("2024-01-15 10", False),
        ("01.02.2024 10", False),
        ("01.02.24 1030", False),
        ("01.42.68.53.00", True),
        ("2019-2024", False),
        ("030 9018200 ext. 123456", True),
    ],
)
def test_a_national_number_has_eight_to_twelve_digits_and_is_no_date(text, yes):
    assert bool(national(text)) is yes


def test_a_row_of_numbers_is_passed_over_whole():
    assert digits(9)("69 987 88 37") == 12
    assert digits(9)("69 987 88 37 10") == -15
