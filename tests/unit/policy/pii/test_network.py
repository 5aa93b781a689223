"""Addresses on networks: what is a part of something longer, and what says too little."""

import pytest

from extproc.policy.pii.network import ipv4, ipv6, login, mac


def test_a_longer_dotted_number_hides_no_address_in_it():
    assert ipv4("1.2.3.4") == 7
    assert ipv4("1.2.3.4.5") == -9
    assert ipv4("1.2.3.256") == -9


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2001:db8::1", 11),
        ("2001:db8::1.", 11),
        ("2001:db8::1:", 11),
        ("1:2:3:4:5:6:7:8", 15),
        ("::1", 0),
        ("a::b::c", 0),
        ("dead::beef", 0),
        ("1:2:3:4:5:6:7:8:9", 0),
        ("::" + "1:" * 30, 0),
    ],
)
def test_an_ipv6_address_says_more_than_a_time_or_a_name(text, length):
    assert max(ipv6(text), 0) == length
    assert length or ipv6(text) == -len(text), "what is passed over is passed over whole"


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("00:1a:2b:3c:4d:5e", True),
        ("00-1a:2b:3c:4d:5e", False),
        ("00:1a:2b:3c:4d:5e:6f", False),
        ("ff:ff:ff:ff:ff:ff", False),
    ],
)
def test_a_mac_address_has_six_or_eight_pairs(text, yes):
    assert (mac(text) > 0) is yes


def test_a_login_is_what_stands_between_the_slashes_and_the_at():
    assert login("ftp://bob:pw@") == (6, 12)
