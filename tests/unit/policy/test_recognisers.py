"""Personal data: what is one and what only looks like one."""

import random

import pytest

from extproc.policy.recognisers import RECOGNISERS, card, iban, ipv4, ipv6, luhn, phone
from extproc.policy.rules import Sample


def find(type_, text):
    """What all shapes of a type find; what lies in a longer one does not count by itself."""
    out = []
    for recogniser in RECOGNISERS[type_]:
        rule, sample, at = recogniser.rule(type_, ""), Sample(text, closed=True), 0
        while at < len(text) and (span := rule.find(sample, at, len(text))):
            if span[0] < span[1]:
                out.append(span)
            at = span[1]
    outer = [one for one in out if not any(one != two and two[0] <= one[0] and one[1] <= two[1] for two in out)]
    return sorted({text[start:end] for start, end in outer})


def mod97(country, rest):
    """An IBAN with the right check digits (ISO 13616)."""
    number = int("".join(str(int(char, 36)) for char in rest + country + "00"))
    return f"{country}{98 - number % 97:02d}{rest}"


TRUE = {
    "email": [
        "a@b.com", "john.doe+tag@mail.example.co.uk", "x_y%z'w-v@sub-domain.example.org", "jürgen@müller.de",
        "иван@почта.рф", "1@2.io",
        "a@xn--mller-kva.de", "a@b.xn--p1ai", "UPPER@CASE.ORG",
    ],
    "card": [
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "2221000000000009",
        "378282246310005", "3782 822463 10005",
        "6011111111111117", "30569309025904", "3530111333300000", "4222222222222", "6200000000000005",
        "4111\u00a01111\u00a01111\u00a01111",
    ],
    "iban": [
        "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819",
        "FR1420041010050500013M02606", "NO9386011117947",
        "CH9300762011623852957", "NL91ABNA0417164300", "de89370400440532013000", "MT84MALT011000012345MTLCAST001S",
        "ES91 2100 0418 4502 0005 1332",
        "IT60X0542811101000000123456", "PL61109010140000071219812874", "SA0380000000608010167519",
        "AT61-1904-3002-3457-3201",
    ],
    "phone": [
        "+1 415 555 0132", "+14155550132", "+49 (0) 30 901820", "+44 20 7946 0958", "(415) 555-0132", "415-555-0132",
        "415.555.0132", "1-800-555-0199",
        "030 901820 12", "020 7946 0958", "+33 1 23 45 67 89", "+91 98765 43210", "+81-3-1234-5678",
    ],
    "ip": [
        "192.168.0.1", "8.8.8.8", "255.255.255.255", "2001:db8::1", "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "fe80::1ff:fe23:4567:890a", "::ffff:192.168.0.1",
    ],
}  # fmt: skip
FALSE = {
    "email": [
        "@home", "a@b", "user@localhost", "a@b.c", "john at example.com", "a@@b.com", "twitter.com/@me", "x@1.2",
        "@property.setter",
    ],
    "card": [
        "4111111111111112", "1234567890123456", "0000000000000000", "411111111111", "9111111111111111",
        "2024-01-15 10:30:00", "20240115103000",
        "41111111111111111111111", "order 1111 2222 3333 4445", "x4111111111111111",
    ],
    "iban": [
        "DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "DE89 3704 0044 0532 0130 0",
        "AB12CDEF34567890", "XDE89370400440532013000",
    ],
    "phone": [
        "2024-01-15", "2024-01-15 10:30", "15.01.2024", "01.02.2024", "12:30:45", "1.2.3.4", "v1.10.2", "3.14159265",
        "1,234,567", "100 000", "order 12345678",
        "ISBN 978-3-16-148410-0", "1234567890", "192.168.0.1", "20-30", "00:00:00", "+1", "2019-2024",
        "version 10.0.19045",
    ],
    "ip": [
        "1.2.3", "256.1.1.1", "1.2.3.4.5", "1.2.3.999", "12:30:45", "10:30", "std::byte", "::", "::1", "a::b",
        "2024.01.15", "12:34:56:78", "00:1A:2B:3C:4D:5E",
        "1.2.3.4.5.6.7.8", "10.0.19045.3803.1", "abc::def", "Foo::Bar::baz",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("type_", "text"), [(type_, text) for type_, texts in TRUE.items() for text in texts])
def test_personal_data_is_found_whole_wherever_it_stands(type_, text):
    assert find(type_, text) == [text]
    assert find(type_, f"See {text}, please") == [text]
    assert find(type_, f"({text})") == [text]
    assert find(type_, f"{text}\n{text}\n") == [text]


@pytest.mark.parametrize(("type_", "text"), [(type_, text) for type_, texts in FALSE.items() for text in texts])
def test_what_only_looks_like_personal_data_is_left_alone(type_, text):
    assert find(type_, text) == []
    assert find(type_, f"See {text} there") == []


def test_all_types_have_both_kinds_of_examples():
    assert set(TRUE) == set(FALSE) == set(RECOGNISERS)


def test_luhn_finds_every_single_wrong_digit():
    assert luhn("4111111111111111")
    for at in range(16):
        for digit in "0123456789":
            number = "4111111111111111"[:at] + digit + "4111111111111111"[at + 1 :]
            assert luhn(number) is (number == "4111111111111111")


def test_a_card_number_is_the_longest_valid_beginning_of_a_run():
    assert card("4111111111111111") == 16
    assert card("4111 1111 1111 1111 123") == 19
    assert card("41111111111111112") == 0, "a longer run of digits is another number"
    assert card("4111 1111 1111 1112") == 0


@pytest.mark.parametrize(
    ("country", "rest"),
    [
        ("DE", "1" * 18),
        ("NO", "2" * 11),
        ("MT", "ABCD" + "3" * 23),
        ("GB", "WEST" + "4" * 14),
        ("LC", "BOSL" + "5" * 24),
    ],
)
def test_an_iban_needs_its_countrys_length_and_check_digits(country, rest):
    good = mod97(country, rest)
    assert iban(good) == len(good)
    assert iban(good.lower()) == len(good)
    assert iban(good + " and") == len(good)
    assert iban(good + "9") == 0
    assert iban(good[:-1]) == 0
    dice = random.Random(1)
    for _ in range(30):
        at = dice.randrange(2, len(good))
        other = dice.choice([digit for digit in "0123456789" if digit != good[at]])
        assert iban(good[:at] + other + good[at + 1 :]) == 0


def test_a_longer_dotted_number_hides_no_address_in_it():
    assert ipv4("1.2.3.4") == 7
    assert ipv4("1.2.3.4.5") == -9
    assert ipv4("1.2.3.256") == -9


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("2001:db8::1", True),
        ("1:2:3:4:5:6:7:8", True),
        ("::1", False),
        ("12:30:45", False),
        ("a::b::c", False),
        ("dead::beef", False),
        ("1::2::", False),
    ],
)
def test_an_ipv6_address_says_more_than_a_time_or_a_name(text, yes):
    assert bool(ipv6(text)) is yes


@pytest.mark.parametrize(
    ("text", "yes"),
    [("+49 30 901820", True), ("+999 123456", False), ("+1 23", False), ("2024-01-15", False), ("030 9018200", True)],
)
def test_a_phone_number_has_a_possible_length(text, yes):
    assert bool(phone(text)) is yes
