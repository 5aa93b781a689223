"""Names and globs."""

import pytest

from extproc.policy.globs import Globs


@pytest.mark.parametrize(
    ("patterns", "name", "fits"),
    [
        (["a"], "a", True),
        (["a"], "A", False),
        (["a"], "ab", False),
        (["a*"], "a", True),
        (["a*"], "abc", True),
        (["a*"], "xa", False),
        (["*a"], "xa", True),
        (["a*z"], "a\nz", True),
        (["a?c"], "abc", True),
        (["a?c"], "ac", False),
        (["a?c"], "a😀c", True),
        (["a.c", "[ab]", "a|b", "a+"], "abc", False),
        (["[ab]*"], "a", False),
        (["[ab]*"], "[ab]c", True),
        (["x|a*"], "x", False),
        (["x|a*"], "x|a", True),
        (["a", "b*"], "bc", True),
        (["*"], "", True),
        ([], "", False),
    ],
)
def test_whole_names_and_two_signs(patterns, name, fits):
    assert (name in Globs(patterns)) is fits


def test_without_case():
    globs = Globs(["Straße", "É*"], ignore_case=True)
    assert all(each in globs for each in ("STRASSE", " straße ", "éa"))
    assert "strase" not in globs


def test_empty():
    assert not Globs([])
    assert Globs(["a"])
    assert Globs(["*"])


def test_many_stars_cost_little():
    assert "a" * 100_000 not in Globs(["*a*a*a*a*a*a*a*b"])
