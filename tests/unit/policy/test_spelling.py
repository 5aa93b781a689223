"""Long runs clipped, and words spelled out put together."""

import random
import re

import pytest

from extproc.policy import spelling
from extproc.policy.spelling import Clip, Spelled
from tests.property import oracle
from tests.unit.policy.stages import behind, run, same_for_every_cut


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""), ("hello all", "hello all"), ("aaaa", "aaaa"), ("aaaaa", "aaaa"), ("xAaAaAax", "xAaAax"),
        ("p4@a4a4 s", "p4@a4 s"),
        ("a      b", "a   b"), ("a\n\n \n\t b", "a\n\n b"), ("-----", "---"), ("!!!!!!!", "!!!!"),
        ("жжжжжж", "жжжжжж"), ("aaaaabbbbbb", "aaaabbbb"),
    ],
)  # fmt: skip
def test_clipped(text, wanted):
    assert same_for_every_cut(Clip, text)[0] == wanted


def test_the_last_letter_stands_for_the_rest_of_its_run():
    assert behind(Clip, "my passssssss.", "passss") == "passssssss"
    assert behind(Clip, "a" * 200 + "b", "ab") == "a" * 197 + "b"
    shown, places = run(Clip(), ["a" * 3000] * 3 + ["b"])
    assert shown == "aaaab"
    assert places[-1] == (9000, 9001)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""), ("no such thing here", ""), ("a b", ""), ("p a s s", "pass\0"), ("say p.a.s.s now", "pass\0"),
        ("p-a-s-s.", "pass\0"),
        ("p_a_s_s", "pass\0"), ("p\na\ns\ns", "pass\0"), ("xp a s s", "a\x1fss\0"), ("p a s sx", "pas\0"),
        ("a p a s s", "a\x1fpass\0"),
        ("n o w   y o u", "now you\0"), ("n.o.w. .y.o.u", "now you\0"), ("p.a.s s", "pas s\0"),
        ("x p.a.s.s y", "x pass y\0"), ("I p-a-s-s", "I pass\0"), ("U.S.A. and p, a, s, s", "USA\0pass\0"),
        ("p    a    s", ""), ("é.à.é", "éàé\0"), ("p @ $ s", "p@$s\0"), ("x 1 2 3 y", "x123y\0"),
    ],
)  # fmt: skip
def test_spelled_out(text, wanted):
    assert same_for_every_cut(Spelled, text)[0] == wanted


def test_what_stands_behind_a_word_spelled_out():
    assert behind(Spelled, "say a p.a.s.s now", "pass") == "p.a.s.s"
    assert behind(Spelled, "f o o b a r", "oba") == "o b a"


@pytest.mark.parametrize("make", [Clip, Spelled])
def test_any_cut_of_any_mixture_shows_the_same(make):
    dice = random.Random(6)
    parts = ["a", "b", "i", " ", " ", ".", "-", "_", "\n", "  ", "ab", "é", "@", "! ", "aaaa", "ж", "1", "😀"]
    for _ in range(1500):
        text = "".join(dice.choices(parts, k=dice.randint(1, 14)))
        whole = run(make(), [text])
        for pieces in oracle.cuts(dice, text, 3):
            assert run(make(), pieces) == whole, pieces


def test_a_long_run_is_shown_while_it_comes():
    stage = Spelled()
    shown = "".join(stage.show("a.", closed=False)[0] for _ in range(5000))
    assert len(shown) > 4990


def test_a_text_without_runs_is_clipped_at_a_glance_as_the_long_way_clips_it(monkeypatch):
    dice = random.Random(20261131)
    always = re.compile(b"")
    changed = 0
    for _ in range(3000):
        text = "".join(
            dice.choices(["a", "A", "4", "@", "il1", "!", " ", "\t", ".,;", "-", "é", "xyz", "99g", "zzz"], k=14)
        )
        views = Clip(), Clip()
        while text:
            piece, text = text[: (cut := dice.randint(1, 6))], text[cut:]
            quick = views[0].show(piece, closed=not text)
            with monkeypatch.context() as patched:
                patched.setattr(spelling, "_RUN", always)
                slow = views[1].show(piece, closed=not text)
            assert (quick[0], quick[1] is None) == (slow[0], slow[1] is None)
            assert (views[0]._held, views[0]._before) == (views[1]._held, views[1]._before)
            changed += quick[1] is not None
    assert changed > 100
