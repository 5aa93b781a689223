"""Scripts, by every letter of every text."""

import pytest

from extproc.formats.base import Span
from extproc.policy.api import Scope
from tests.unit.policy.kinds.support import refused, said

LATIN = {"kind": "language", "allow": "Latin"}
NO_HAN = {"kind": "language", "deny": ["Han", "Hiragana"]}


@pytest.mark.parametrize(
    "text",
    ["Hello", "Hello, wörld! 123 😀 ½ →", "what is π?", "", "12345", "e\u0301te\u0301", "ａｂｃｄｅｆ",
     "five letters: Привет, said again and again", "日本日本 " + "latin" * 5],
)  # fmt: skip
def test_what_is_latin_enough(text):
    assert refused(LATIN, said(text)) is None


@pytest.mark.parametrize("text", ["Привет", "你好你好你", "Привет hello", "p" * 20 + "п" * 6, "שלום עולם", "ᏣᎳᎩᏣᎳᎩ"])
def test_what_is_not(text):
    assert refused(LATIN, said(text)) == "script"


def test_denied_scripts():
    assert refused(NO_HAN, said("你好，世界！再见")) == "script"
    assert refused(NO_HAN, said("こんにちは")) == "script"
    assert refused(NO_HAN, said("Привет всем")) is None
    assert refused({**NO_HAN, "allow": "Cyrillic"}, said("Hello world")) == "script"


def test_a_long_text_of_ones_own_does_not_hide_a_short_one():
    assert refused(LATIN, said("latin " * 1000, "Привет")) == "script"


def test_pieces_do_not_hide_a_whole():
    assert refused(LATIN, said(*["при"] * 3)) == "script"
    assert refused(LATIN, said(*["при"])) is None


def test_no_share_at_all():
    strict = {**LATIN, "share": 0, "letters": 1}
    assert refused(strict, said("latin " * 1000 + "я")) == "script"
    assert refused(strict, said("latin " * 1000 + "1 😀")) is None


def test_scopes():
    spans = [Span(("a",), Scope.SYSTEM, "Привет мир")]
    about = {"texts": lambda body: spans}
    assert refused({**LATIN, "scope": "user"}, {}, **about) is None
    assert refused({**LATIN, "scope": ["user", "system"]}, {}, **about) == "script"


def test_every_letter_counts_and_the_same_text_gives_the_same_verdict():
    border = "a" * 79 + "я" * 20
    assert {refused(LATIN, said(border)) for _ in range(20)} == {"script"}
    assert {refused(LATIN, said(border + "a")) for _ in range(20)} == {None}
    long = "a" * 100_000 + "я" * 25_001
    assert refused(LATIN, said(long)) == "script"
    assert refused(LATIN, said(long[:-1])) is None
