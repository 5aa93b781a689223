"""The view of JSON source: what a policy sees, and that redacting what it sees keeps the source JSON."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.policy.scanner import Op
from extproc.policy.views import JsonView


def shown(source, pieces=None):
    view = JsonView()
    return "".join([view.show(piece) for piece in pieces or [source]]) + view.end()


def hidden(view, ops, source):
    out, at = "", 0
    for length, text in view.hide(ops):
        out += source[at : at + length] if text is None else text
        at += length
    assert at == len(source), "operations must cover the source exactly"
    return out


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("", ""), ("plain", "plain"), ("{}", "{}"), ('{"a":"b"}', '{"a":"b"}'), (r'"a\nb"', '"a\nb"'),
        (r'"\t\r\b\f"', '"\t\r\b\f"'), (r'"\"\\\/"', '""\\/"'),
        (r'"\u0040"', '"@"'), (r'"\u00E9\u00e9"', '"éé"'), (r'"\ud83d\ude00"', '"😀"'), (r'"\ud83d"', '"\ufffd"'),
        (r'"\ud83dx"', '"\ufffdx"'), (r'"\ude00"', '"\ufffd"'),
        (r'"\ud83d\ud83d\ude00"', '"\ufffd😀"'), (r'"\ud83d\n"', '"\ufffd\n"'), (r'"\uZZZZ"', '"\ufffd"'),
        (r'"\q"', '"q"'), (r'\n outside', r'\n outside'), (r'"a\"', '"a"'),
        ('"a\\', '"a\\'), ('"a\\u00', '"a\\u00'), ('"\\ud83d', '"\ufffd'), ('"\\ud83d\\', '"\ufffd\\'),
        ('"a" \\u0041 "\\u0041"', '"a" \\u0041 "A"'),
    ],
)  # fmt: skip
def test_escapes_inside_strings_are_shown_as_what_they_mean(source, wanted):
    assert shown(source) == wanted
    assert shown(source, list(source)) == wanted
    for at in range(len(source)):
        assert shown(source, [source[:at], source[at:]]) == wanted


@given(st.text(st.sampled_from(list('"\\\\\\unabdD83dDe00 é{}😀'))), st.integers(0, 1 << 32))
def test_any_text_is_shown_the_same_however_it_is_cut_and_keeping_it_keeps_every_byte(source, seed):
    dice = random.Random(seed)
    places = sorted(dice.choices(range(len(source) + 1), k=5))
    pieces = [source[start:end] for start, end in zip([0, *places], [*places, len(source)], strict=True)]
    assert shown(source) == shown(source, pieces)
    view = JsonView()
    seen = view.show(source) + view.end()
    ops, left = [], len(seen)
    while left:
        ops.append(Op(dice.randint(1, left)))
        left -= ops[-1].length
    assert hidden(view, ops, source) == source


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
    st.booleans(),
)
def test_a_string_shows_its_value(value, ascii_only):
    source = json.dumps(value, ensure_ascii=ascii_only)
    if not ascii_only and any(0xD800 <= ord(char) < 0xE000 for char in source):
        return
    seen = shown(source)

    def strings(node):
        if isinstance(node, str):
            yield node
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from strings(child)

    assert all(f'"{each}"' in seen for each in strings(value))


@given(st.text(max_size=12), st.text(max_size=6), st.booleans(), st.integers(0, 1 << 32))
def test_redacting_inside_a_string_leaves_json_with_the_redacted_value(text, replacement, ascii_only, seed):
    source = json.dumps({"k": text}, ensure_ascii=ascii_only)
    view = JsonView()
    seen = view.show(source) + view.end()
    dice = random.Random(seed)
    start, end = sorted((dice.randint(0, len(text)), dice.randint(0, len(text))))
    if start == end:
        return
    lead, at = len('{"k": "'), len('{"k": "') + start
    assert seen[lead : lead + len(text)] == text
    rest = len(seen) - lead - end
    out = hidden(view, [Op(at), Op(end - start, replacement), Op(rest)], source)
    assert json.loads(out) == {"k": text[:start] + replacement + text[end:]}


@pytest.mark.parametrize(
    ("source", "what", "wanted"),
    [
        ('{"n": 4111111111111111}', "4111111111111111", '{"n": 0}'),
        ('[1,22,3]', "22", '[1,0,3]'),
        ('{"a":"b"}', '"b"', '{"a":0}'),
        ('{"a":"b"}', "b", '{"a":"[x]"}'),
        ('{"ab":1}', "ab", '{"[x]":1}'),
        ('{"a":true}', "true", '{"a":0}'),
        ('[-123]', "123", "[-0]"),
        ('[0.123]', "123", "[0.0]"),
        ('[123.5]', "123", "[0.5]"),
    ],
)  # fmt: skip
def test_a_replacement_outside_a_string_is_a_number(source, what, wanted):
    view = JsonView()
    seen = view.show(source) + view.end()
    at = seen.index(what)
    ops = [Op(at), Op(len(what), "[x]"), Op(len(seen) - at - len(what))]
    assert hidden(view, ops, source) == wanted
    json.loads(wanted)


def test_the_rest_of_a_cluster_adds_nothing():
    view = JsonView()
    view.show('"abc"')
    assert hidden(view, [Op(1), Op(1, "[x]"), Op(2, ""), Op(1)], '"abc"') == '"[x]"'
    view.show("[123]")
    assert hidden(view, [Op(1), Op(1, "[x]"), Op(2, ""), Op(1)], "[123]") == "[0]"


def test_half_an_escape_is_not_shown_until_it_is_decided():
    view = JsonView()
    assert [view.show(char) for char in '"\\u0040\\ud83d\\ude00"'] == ['"', *[""] * 5, "@", *[""] * 11, "😀", '"']
