"""Personal data that must be found on the external data, and how much else may be."""

import pytest

from tests.detect import pii

pytestmark = pytest.mark.data

FLOORS = {"email": 0.98, "iban": 0.98, "ip": 0.98, "card": 0.98, "phone": 0.85, "us_ssn": 0.8, "us_itin": 0.6}


@pytest.fixture(scope="module")
def rows():
    return pii.measure()


@pytest.mark.parametrize(("type_", "floor"), FLOORS.items())
def test_what_is_labelled_is_found(rows, type_, floor):
    assert rows[type_].labelled > 0
    assert rows[type_].recall >= floor, rows[type_].misses


@pytest.mark.parametrize("type_", ["email", "iban", "ip", "card", "phone", "us_ssn"])
def test_what_is_found_is_labelled(rows, type_):
    assert rows[type_].precision >= 0.98


def test_benign_texts_are_left_alone():
    texts = pii.benign()
    assert len(pii.touched()) <= 0.005 * len(texts)
