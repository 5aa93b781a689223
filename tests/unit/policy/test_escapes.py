"""Escapes: what they are shown as, what is none, and what stands behind it."""

import random

import pytest

from extproc.policy.escapes import Unescape
from tests.property import oracle
from tests.unit.policy.stages import behind, run, same_for_every_cut


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nothing", "nothing"), ("&#112;", "p"), ("&#112", "p"), ("&#x70;&#X70", "pp"), ("&#0112;", "p"),
        ("&lt;&amp;", "<&"),
        ("&commat;&period;", "@."), ("&nosuch; &", "&nosuch; &"), ("&amp;#112;", "&#112;"),
        ("a & b && c", "a & b && c"),
        (r"\u0070\x70\u{70}\u{1f600}", "ppp😀"), (r"\ud83d\ude00", "😀"), (r"\ud83d x", r"\ud83d x"),
        (r"\U00000070", "p"),
        (r"\xd0\xb0 \xe9 \xc3\xa9", "а é é"), (r"\u{110000} \u{d800}", r"\u{110000} \u{d800}"),
        (r"C:\new \u12", r"C:\new \u12"),
        ("%70%61", "pa"), ("%d0%b0%E2%82%AC", "а€"), ("%f0%9f%98%80", "😀"),
        ("100%de %zz %c0%80 %", "100%de %zz %c0%80 %"),
        ("%2570", "%70"), ("%0a%0d%09", "\n\r\t"), ("&#0;", "\ufffd"), ("&#99999999;", "\ufffd"),
    ],
)  # fmt: skip
def test_what_is_shown(text, wanted):
    assert same_for_every_cut(Unescape, text)[0] == wanted
    assert same_for_every_cut(Unescape, f"x{text}\n")[0] == f"x{wanted}\n"


@pytest.mark.parametrize(
    ("text", "what", "source"),
    [("a &#112;ass b", "pass", "&#112;ass"), ("%70%61ss", "as", "%61s"), ("&NotEqualTilde;", "≂", "&NotEqualTilde;")],
)
def test_what_stands_behind_it(text, what, source):
    assert behind(Unescape, text, what) == source


def test_any_cut_of_any_mixture_shows_the_same():
    dice = random.Random(5)
    parts = [
        "&",
        "#",
        "x",
        "1",
        "05",
        ";",
        "amp",
        "lt;",
        "%",
        "f0",
        "9f",
        "\\",
        "u",
        "{",
        "}",
        "d83d",
        "\\ude00",
        "\\x",
        "d0",
        "b0",
        " ",
    ]
    for _ in range(1500):
        text = "".join(dice.choices(parts, k=dice.randint(1, 12)))
        whole = run(Unescape(), [text])
        for pieces in oracle.cuts(dice, text, 3):
            assert run(Unescape(), pieces) == whole, pieces


def test_little_is_held_back():
    stage = Unescape()
    for text in ("&" + "a" * 500, "&#" + "1" * 500, "%f0%9f%98", r"\ud83d" * 100, "&&&&&"):
        held = len(text) - len(stage.show(text, closed=False)[0])
        assert held <= 36
        stage = Unescape()
