"""What edits mean, and which do not fit."""

import pytest

from extproc.framing.jsonedit import INSERT_FIRST, INSERT_LAST, REMOVED, Insert, edit, edited
from extproc.framing.jsontext import parse

RAW = b'{ "a" : 1.0, "b":[ 1e2 , {"x":"\\u0041"} ,3 ],"c": {},\n"n":null }'


@pytest.mark.parametrize(
    ("edits", "wanted"),
    [
        ({}, RAW),
        ({("a",): 2}, RAW.replace(b"1.0", b"2")),
        ({("b", 1, "x"): "B"}, RAW.replace(b'"\\u0041"', b'"B"')),
        ({("z",): True}, RAW.replace(b"null }", b'null,"z":true }')),
        ({("z", "y"): 1, ("z", "x"): 2}, RAW.replace(b"null }", b'null,"z":{"y":1,"x":2} }')),
        ({("n", "y"): 1}, RAW.replace(b"null", b'{"y":1}')),
        ({("c", "y"): 1}, RAW.replace(b"{}", b'{"y":1}')),
        ({("a",): REMOVED}, RAW.replace(b'"a" : 1.0, ', b"")),
        ({("n",): REMOVED}, RAW.replace(b',\n"n":null', b"")),
        ({("c",): REMOVED, ("z",): 0}, RAW.replace(b',"c": {}', b"").replace(b"null", b'null,"z":0')),
        ({("gone",): REMOVED, ("n", "y"): REMOVED, ("b", 9): REMOVED}, RAW),
        ({("b", INSERT_FIRST): 0}, RAW.replace(b"1e2", b"0,1e2")),
        ({("b", INSERT_LAST): 0}, RAW.replace(b",3", b",3,0")),
        ({("b", Insert(1)): 0}, RAW.replace(b'{"x"', b'0,{"x"')),
        ({("b", 0): REMOVED, ("b", Insert(1)): 0}, RAW.replace(b'1e2 , {"x"', b'0,{"x"')),
        ({("b", 0): REMOVED, ("b", 1): REMOVED, ("b", 2): REMOVED, ("b", INSERT_LAST): 0}, None),
        ({("a",): REMOVED, ("b",): REMOVED, ("c",): REMOVED, ("n",): REMOVED}, b"{  }"),
    ],
)
def test_edits(edits, wanted):
    result = edit(RAW, edits)
    assert parse(result) == edited(parse(RAW), edits)
    if wanted is not None:
        assert result == wanted


@pytest.mark.parametrize(
    "edits",
    [
        {("a", "x"): 1},
        {("a", INSERT_FIRST): 1},
        {("b", "x"): 1},
        {("b", 3): 1},
        {("b", -1): 1},
        {("c", 0): 1},
        {("c", INSERT_LAST): 1},
        {("z", 0): 1},
        {("z", INSERT_LAST): 1},
        {("b",): 1, ("b", 0): 2},
        {("b", 0): 2, ("b",): 1},
        {("b", INSERT_FIRST, "x"): 2},
        {(): 1},
    ],
)
def test_what_does_not_fit_is_an_error_in_the_text_and_in_the_value(edits):
    with pytest.raises(ValueError, match="edit"):
        edit(RAW, edits)
    with pytest.raises(ValueError, match="edit"):
        edited(parse(RAW), edits)


def test_the_value_before_is_not_touched_and_what_stays_is_shared():
    value = parse(RAW)
    after = edited(value, {("b", 0): 5})
    assert value == parse(RAW)
    assert after["c"] is value["c"]
    assert after["b"][1] is value["b"][1]


def test_many_removals_and_insertions_cost_little():
    size = 20_000
    raw = b'{"m":[' + b",".join([b'{"role":"system"}'] * size) + b",1]}"
    edits = {("m", at): REMOVED for at in range(size)} | {("m", INSERT_FIRST): 0}
    assert edit(raw, edits) == b'{"m":[0,1]}'
    assert edited(parse(raw), edits) == {"m": [0, 1]}
