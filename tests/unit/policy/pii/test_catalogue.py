"""Personal data: what is found, what only looks like it, and which names stand for which types."""

import random

import pytest
import yaml

from extproc.policy.api import Action, Mode, Phase, Policy, Scope
from extproc.policy.pii.catalogue import DEFAULT, GROUPS, TYPES, expand
from extproc.policy.scanner import Scanner
from tests.personal import SAMPLES, planted


def scanner(*names):
    rules = tuple(shape.rule(type_, "") for type_ in expand(names) for shape in TYPES[type_])
    policy = Policy("p", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), rules)
    return Scanner(tuple((policy, rule) for rule in rules))


SCANNERS = {type_: scanner(type_) for type_ in TYPES}
DEFAULTS = scanner("default")


def find(type_, text):
    """What a type finds; what lies in a longer match does not count by itself."""
    matches = SCANNERS[type_].scan(text)
    spans = {(match.start, match.end) for match in matches}
    outer = [one for one in spans if not any(one != two and two[0] <= one[0] and one[1] <= two[1] for two in spans)]
    return sorted({text[start:end] for start, end in outer})


FRAMES = (
    "{}", "See {}, please", "({})", "{}\n{}\n", "“{}”", "Bitte prüfen Sie {}: danke schön.", "Мой номер {} — спасибо",
    "私の番号は {} です", "<td>{}</td>", "x = '{}'",
)  # fmt: skip


@pytest.mark.parametrize(("type_", "before", "value", "after"), planted())
def test_personal_data_is_found_whole_wherever_it_stands(type_, before, value, after):
    for frame in FRAMES:
        assert find(type_, frame.replace("{}", before + value + after)) == [value], frame


@pytest.mark.parametrize(("type_", "before", "value", "after"), [each for each in planted() if each[1] and not each[3]])
def test_a_value_that_needs_a_word_before_it_is_nothing_without_one(type_, before, value, after):
    if value not in {other for kind, word, other, _ in planted() if kind == type_ and not word}:
        assert find(type_, f"The answer is {value} here") == []
        assert find(type_, f"{before}{'and so on ' * 5}{value}") == [], "the word is too far away"


CHECKED = [  # every wrong digit is found
    "card", "iban", "ca_sin", "br_cpf", "br_cnpj", "uk_nhs", "de_tax_id", "fr_nir", "be_national", "pl_pesel", "ch_ahv",
    "ro_cnp", "bg_egn", "hr_oib", "in_aadhaar", "in_vid", "jp_my_number", "au_abn", "za_id", "us_routing", "es_dni", "fi_hetu",
    "in_gstin", "cn_id", "sg_nric", "it_codice_fiscale", "pt_nif", "gr_afm", "nl_bsn", "ie_pps",
]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "before", "value", "after"), [each for each in planted() if each[0] in CHECKED and "FIN" not in each[1]]
)
def test_a_wrong_digit_is_seen_by_the_check(type_, before, value, after):
    dice = random.Random(value)
    digits = [at for at, char in enumerate(value) if char.isdigit() and at > 1]
    for at in digits:
        other = dice.choice([digit for digit in "0123456789" if digit != value[at]])
        wrong = before + value[:at] + other + value[at + 1 :]
        assert wrong[len(before) :] not in find(type_, wrong), wrong


@pytest.mark.parametrize("type_", ["bitcoin", "litecoin", "dogecoin", "tron"])
def test_a_wrong_character_is_no_wallet(type_):
    for value in SAMPLES[type_]:
        for at in range(3, len(value)):
            other = "2" if value[at] != "2" else "3"
            assert find(type_, value[:at] + other + value[at + 1 :]) == []


FALSE = {
    "email": ["@home", "a@b", "user@localhost", "a@b.c", "john at example.com", "a@@b.com", "twitter.com/@me", "x@1.2",
              "@property.setter"],
    "card": ["4111111111111112", "1234567890123456", "0000000000000000", "411111111111", "9111111111111111",
             "2024-01-15 10:30:00", "20240115103000", "41111111111111111111111", "order 1111 2222 3333 4445",
             "x4111111111111111", "0.4111111111111111", "4111 1111-1111 1111", "1700000000000", "41 11 11 11 11 11 11 11"],
    "iban": ["DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "DE89 3704 0044 0532 0130 0",
             "AB12CDEF34567890", "XDE89370400440532013000"],
    "phone": ["2024-01-15", "2024-01-15 10:30", "15.01.2024", "01.02.2024", "01.02.24 10.30", "12:30:45", "1.2.3.4", "v1.10.2",
              "3.14159265", "1,234,567", "100 000", "order 12345678", "ISBN 978-3-16-148410-0", "1234567890", "192.168.0.1",
              "20-30", "00:00:00", "+1", "2019-2024", "version 10.0.19045", "+10 000 000", "$415-555-0132", "12-415-555-0132",
              "call me in 2019-2024", "123 456 7890", "0.415 555 0132", "+999 123456"],
    "ip": ["1.2.3", "256.1.1.1", "1.2.3.4.5", "1.2.3.999", "12:30:45", "10:30", "std::byte", "::", "::1", "a::b", "2024.01.15",
           "12:34:56:78", "00:1A:2B:3C:4D:5E", "1.2.3.4.5.6.7.8", "10.0.19045.3803.1", "abc::def", "Foo::Bar::baz",
           "x::dead:1", "1:2:3:4:5:6:7:8:9"],
    "mac": ["12:30:45", "00:1A:2B:3C:4D", "00:1A:2B:3C:4D:5E:6F", "00:00:00:00:00:00", "00:1A-2B:3C:4D:5E",
            "0:1A:2B:3C:4D:5E"],
    "us_ssn": ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "123-45-6789-0", "1-123-45-6789",
               "123456789", "123 45 6789"],
    "us_itin": ["912-49-1234", "912-89-1234", "812-70-1234", "912-93-1234"],
    "uk_nino": ["QQ123456C", "AB123456E", "GB123456A", "BG123456A", "XAB123456C", "AB1234567"],
    "uk_driver": ["MORGA677054SM9IJ", "MORGA613054SM9IJ"],
    "us_mbi": ["0EG4-TE5-MK73", "1SG4-TE5-MK73"],
    "in_pan": ["ACUDA7085R", "ACUPA708R", "XACUPA7085R"],
    "in_aadhaar": ["2341 2341 2346 2341", "1341 2341 2346", "2341-2341 2346", "234123412346"],
    "eu_vat": ["ATU13585626", "DE 136695977", "GB 980 7806 85", "XX136695976"],
    "bitcoin": ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "bc1Qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
                "bc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "1111111111111111111114oLvT3"],
    "ethereum": ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeDd", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
                 "0x0000000000000000000000000000000000000000"],
    "coordinates": ["95.12345, 13.40500", "52.1, 13.4", "52.52000, 190.40500", "1.25000, 2.50000, 3.75000"][:3],
    "birth_date": ["on 12/27/1986", "born in the USA", "born 40/40/1986"],
    "url_login": ["https://example.com/@bob", "mailto:bob@example.com", "https://example.com?q=a@b"],
    "cn_id": ["360426199113010071", "360426199101010072"],
    "kr_rrn": ["971313-9019902"],
    "solana": ["wallet abcdefghijkmnopqrstuvwxyzABCDEFG0"],
}  # fmt: skip


@pytest.mark.parametrize(("type_", "text"), [(type_, text) for type_, texts in FALSE.items() for text in texts])
def test_what_only_looks_like_personal_data_is_left_alone(type_, text):
    assert find(type_, text) == []
    assert find(type_, f"See {text} there") == []


@pytest.mark.parametrize(
    "text",
    [
        "In 2024 we sold 1,234,567 units at $12.99 each (up 3.5% from 2023-11-05).",
        "Python 3.11.4, commit 33d64bd0c9a1f5, took 1700000000000 ms; id 550e8400-e29b-41d4-a716-446655440000",
        "The ISBN is 978-3-16-148410-0 and the part number 10.0.19045.3803.1.",
        "pi = 3.141592653589793, e = 2.718281828459045, 1/3 = 0.3333333333333333",
        "matrix: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
        "12 345 67 89 10 11 12, 100 200 300, 1000 2000 3000 4000",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "RFC 5321 and RFC 5322; ISO 13616:2020; section 4.5.3.1.1",
        "Meeting from 10:30 to 12:45 on 15.01.2024, room 0.123.",
    ],
)
def test_ordinary_numbers_are_left_alone_by_the_default_types(text):
    assert DEFAULTS.scan(text) == []


def test_all_types_have_examples():
    assert set(SAMPLES) == set(TYPES)


def test_packs_and_groups_are_made_of_types():
    assert expand(["us"]) == tuple(name for name in TYPES if name.startswith("us_"))
    assert expand(["default"]) == tuple(name for name in TYPES if name in DEFAULT)
    assert set(expand(["all"])) == set(TYPES)
    assert "de_tax_id" in expand(["eu"])
    assert expand(["de"]) == ("de_tax_id",)
    assert "us_ssn" not in expand(["eu", "in", "crypto", "network", "financial", "contact"])
    assert expand(["email", "contact", "email"]).count("email") == 1
    assert all(expand([group]) for group in GROUPS)
    assert not any(isinstance(yaml.safe_load(name), bool) for name in (*GROUPS, *TYPES)), "YAML takes it for a boolean"
    with pytest.raises(ValueError, match=r"'emial' is no type .* email"):
        expand(["emial"])


def test_the_words_of_context_reach_forty_characters_back():
    assert find("us_passport", "passport" + " " * 32 + "912803456") == ["912803456"]
    assert find("us_passport", "passport" + " " * 33 + "912803456") == []
    assert find("us_passport", "passport 912803456 and 912803457") == ["912803456", "912803457"], "two after one word"
    assert find("us_passport", "912803456 is my passport") == [], "the word comes after"
    assert find("us_passport", "my xpassport 912803456") == find("us_passport", "passporting 912803456") == []


def test_only_the_login_of_a_url_is_the_match():
    match = SCANNERS["url_login"].scan("go to https://bob:pw@example.com/")[0]
    assert (match.start, match.end) == (14, 20)


def test_types_listed_earlier_name_what_several_find():
    matches = scanner("all").scan("http://10.1.2.3/ 4111111111111111")
    assert [scanner("all").rule(match).label for match in matches][:1] == ["ip"]
