"""Checks: what tells a secret from a placeholder, a name or a word."""

import math
import random
import re
from collections import Counter

import pytest

from extproc.policy.secrets.checks import (
    _CODE,
    _STAND_IN,
    checksummed,
    crc32_base62,
    digits_too,
    entropy,
    jwt,
    password_value,
    random_looking,
    secret_value,
    stand_in,
    uuid,
    varied,
)
from tests.detect import made

LETTERS = "aAbZ0919 .-_é漢xxxx"
PIECES = (
    "your",
    "change_me",
    "EXAMPLE",
    "todo ",
    "xxxx",
    "...",
    "${A",
    "none",
    "noneX",
    "true",
    "nil",
    "<a",
    "%(",
    "ſ",
    "\u212a",
)


def texts(seed):
    """Values of every sort, some with what stands in for a value."""
    dice = random.Random(seed)
    for _ in range(4000):
        text = "".join(dice.choices(LETTERS, k=dice.randint(0, 40)))
        at = dice.choice([0, 0, dice.randint(0, len(text))])
        yield text[:at] + dice.choice(["", "", *PIECES, *(piece.upper() for piece in PIECES)]) + text[at:]


def test_entropy_is_what_shannon_says_to_the_last_bit():
    for text in texts(1):
        size = len(text)
        shares = [count / size for count in Counter(text).values()]
        assert entropy(text) == -sum(share * math.log2(share) for share in shares)


def test_changes_of_kind_are_counted_as_an_expression_counts_them():
    changes = re.compile("[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])|[a-z](?=[A-Z])")
    said = [(random_looking(text), varied(text) and len(changes.findall(text)) >= 3) for text in texts(2)]
    assert all(mine == its for mine, its in said)
    assert {mine for mine, _ in said} == {True, False}


def test_stand_ins_are_the_same_to_both_engines():
    expression, said = re.compile(_STAND_IN), set()
    for text in texts(4):
        if not text.endswith(("(", "[", "{", "<")) and not _CODE.match(text):
            assert stand_in(text) is (expression.search(text) is not None), text
            said.add(stand_in(text))
    assert said == {True, False}


def test_entropy_is_in_bits_a_character():
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("abab") == 1
    assert entropy("abcd") == 2
    assert entropy("0123456789abcdef") == pytest.approx(4)


def test_a_checksum_is_of_the_part_behind_the_prefix():
    dice = random.Random(1)
    for _ in range(50):
        token = made.made("_{A30}{C}", dice)[1:]
        assert crc32_base62(token)
        other = "A" if token[10] != "A" else "B"
        assert not crc32_base62(token[:10] + other + token[11:])
        assert checksummed(token[:10] + other + token[11:]), "a mistyped token is still most of one"
    assert not checksummed("x" * 36)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a8Kd03plQ", True),
        ("checksum_v2", False),
        ("aaaaaaaa1", False),
        ("abcdefgh", False),
        ("1a2b3c4d", True),
        ("xxxxxxxx", False),
    ],
)
def test_what_looks_random_changes_its_kinds_of_characters(text, wanted):
    assert random_looking(text) is wanted


def test_more_around_what_looks_random_changes_nothing():
    dice = random.Random(2)
    for _ in range(200):
        core = "".join(dice.choices("aB3-_x", k=10)) + "a1B2c3D4"
        around = "".join(dice.choices("xyz-0", k=dice.randint(0, 9)))
        assert random_looking(core) <= random_looking(around + core + around)


def test_varied_and_with_digits():
    assert varied("abcdefgh")
    assert not varied("abcdefg")
    assert digits_too("abcdefg1")
    assert not digits_too("abcdefgh")


def test_a_header_must_decode_and_name_its_algorithm():
    dice = random.Random(3)
    assert jwt(made.jwt(dice))
    for header in (b'{"typ":"JWT"}', b'{"alg":1}', b'["alg"]', b'{"alg":"none"', b"\xff{}", b""):
        assert not jwt(made.jwt(dice, header=header)), header
    assert not jwt("eyJhb.x")
    assert not jwt(".".join(["é", "x"]))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("changeme123", True), ("<your key>", True), ("xxxx", True), ("${VAR}", True), ("$API_KEY", True),
        ("os.environ[", True),
        ("AKIAEXAMPLE1", True), ("get_token(", True), ("process.env.X", True), ("{{ key }}", True), ("%s", True),
        ("****", True),
        ("https://h/x", True), ("/etc/ssl/key1", True), ("none", True), ("nonesuch7", False), ("insert-key-here", True),
        ("kD83nfs02", False), ("$ecret1x", True), ("tr0ub4dor&3", False),
    ],
)  # fmt: skip
def test_a_stand_in_is_no_secret(text, wanted):
    assert stand_in(text) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hunter2", True), ("P@ssw0rd", True), ("swordfish", False), ("shorter-version", False), ("insert_key_here", False),
        ("aaa111", False), ("123456", True), ("changeme1", False), ("myPassword", False), ("Summer!", True),
        ("getpass(", False),
    ],
)  # fmt: skip
def test_a_password_is_not_just_words(text, wanted):
    assert password_value(text) is wanted


def test_a_value_called_a_key_is_one_only_if_it_looks_like_one():
    dice = random.Random(4)
    assert all(secret_value(made.made("{A32}", dice), 3.0) for _ in range(50))
    for text in (
        "sha256_checksum_v1",
        "user_token_v2_final",
        "a1b2c3",
        "a1" * 8,
        made.made(made.UUID, dice),
        "1234567890123456",
    ):
        assert not secret_value(text, 3.0), text
    assert not secret_value("a1b2c3d4e5f6", 5.0), "below the threshold"
    assert uuid(made.made(made.UUID, dice))
    assert not uuid("0" * 36)
