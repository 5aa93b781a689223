"""Every string is a text unless its name says structure or data and it looks like that."""

import pytest

from extproc.formats.walk import Walk, binary, structural
from extproc.policy.api import Scope

SKIP, BLOBS = frozenset({"id", "type"}), frozenset({"url", "data"})


def found(value):
    spans = []
    Walk(SKIP, BLOBS).value(value, ("x",), Scope.USER, spans)
    return {span.path: span.text for span in spans}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a", {("x",): "a"}),
        ("", {}),
        (1, {}),
        (None, {}),
        ({"new": {"deep": ["a", {"er": "b"}]}}, {("x", "new", "deep", 0): "a", ("x", "new", "deep", 1, "er"): "b"}),
        ({"id": "abc-1", "type": "text"}, {}),
        ({"id": "two words", "type": "a@b.com"}, {("x", "id"): "two words", ("x", "type"): "a@b.com"}),
        ({"type": ["abc", "a b"]}, {("x", "type", 1): "a b"}),
        ({"type": {"name": "abc"}}, {("x", "type", "name"): "abc"}),
        ({"id": "a" * 257}, {("x", "id"): "a" * 257}),
        ({"url": "data:image/png;base64,iVBORw0KGgo="}, {}),
        ({"url": "https://x.com/?q=a@b.com"}, {("x", "url"): "https://x.com/?q=a@b.com"}),
        ({"url": "data:text/plain,hello"}, {("x", "url"): "data:text/plain,hello"}),
        ({"data": "QUJD" * 20}, {}),
        ({"data": "short"}, {("x", "data"): "short"}),
        ({"": "a", "b": {"": ["c"]}}, {("x", ""): "a", ("x", "b", "", 0): "c"}),
        ({"text": "QUJD" * 20}, {("x", "text"): "QUJD" * 20}),
        ({"data": "QUJD" * 20 + "\n"}, {("x", "data"): "QUJD" * 20 + "\n"}),
    ],
)
def test_which_strings_are_texts(value, wanted):
    assert found(value) == wanted


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("gpt-4o", True),
        ("", True),
        ("a/b:c_d.e+f=g", True),
        ("a b", False),
        ("a@b", False),
        ("é", False),
        ("a\n", False),
        ("x" * 256, True),
        ("x" * 257, False),
    ],
)
def test_structure_is_one_short_token(text, yes):
    assert structural(text) is yes


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("data:audio/wav;base64,AAAA", True),
        ("data:text/html;charset=x;base64,AAAA", False),
        ("A" * 64, True),
        ("A" * 63, False),
        ("A" * 63 + "==", False),
        ("A" * 64 + "===", False),
        ("A" * 64 + " ", False),
        ("data:", False),
    ],
)
def test_data_is_base64_and_nothing_else(text, yes):
    assert binary(text) is yes


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"plain_name": 1, "a.b-c:d/e": 1, "": 1}, []),
        ({"two words": None}, ["two words"]),
        ({"a": [{"b@c.de": {}}], "é": 0}, ["é", "b@c.de"]),
        ({"n" * 257: 1}, ["n" * 257]),
    ],
)
def test_names_that_do_not_look_like_names_are_texts_that_stay_as_they_are(value, wanted):
    spans = []
    Walk(SKIP, BLOBS).value(value, ("x",), Scope.USER, spans)
    assert [span.text for span in spans if span.fixed] == wanted
    assert all(span.path[-1] == span.text for span in spans if span.fixed)
