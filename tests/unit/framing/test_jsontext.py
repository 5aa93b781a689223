"""What counts as JSON, and edits that touch nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.errors import DecodeError
from extproc.framing.jsontext import MAX_DEPTH, MAX_VALUES, dump, dump_pretty, parse, replace, set_member
from tests.support import data


@pytest.mark.data
@pytest.mark.parametrize(("kind", "least"), [("y", 20), ("n", 40), ("i", 5)])
def test_the_conformance_suite(kind, least):
    files = sorted(data("json/test_parsing").glob(f"{kind}_*.json"))
    assert len(files) >= least
    for path in files:
        raw = path.read_bytes()
        try:
            value = parse(raw)
            accepted = True
        except DecodeError:
            accepted = False
        if kind != "i":
            assert accepted is (kind == "y"), path.name
        if accepted:
            assert value == json.loads(raw), path.name
            assert replace(raw, {}) == raw


@pytest.mark.data
def test_what_others_read_in_two_ways_is_refused_or_kept_as_it_stands():
    refused = set()
    for path in sorted(data("json/test_transform").glob("*.json")):
        raw = path.read_bytes()
        try:
            parse(raw)
        except DecodeError:
            refused.add(path.name)
            continue
        assert replace(raw, {}) == raw
    assert "object_same_key_unclear_values.json" in refused
    assert "string_1_escaped_invalid_codepoint.json" in refused
    assert "number_10000000000000000999.json" not in refused


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a" \t\r\n :1,"a":2}',
        b'{"\\u0061":1,"a":2}',
        b'{"a":1,"b":{"c":[{"d":1,"d":2}]}}',
        b'{"\xc3\xa9":1,"\\u00e9":2}',
        b'{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}',
        b'{"":1,"":2}',
        b'{"a\\":":1,"b":"\\":","a\\":":2}',
        b'{"a":"\\":","a":"\\":"}',
    ],
)
def test_an_object_with_the_same_key_twice_is_refused(raw):
    with pytest.raises(DecodeError, match="same key twice"):
        parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"A":2}',
        b'{"a":{"a":{"a":1}}}',
        b'[{"a":1},{"a":1}]',
        b'{"a":"\\":","b":"\\": \\" :"}',
        b'{"e\xcc\x81":1,"\xc3\xa9":2}',
    ],
)
def test_what_only_looks_like_the_same_key_is_accepted(raw):
    assert parse(raw) == json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"NaN", b"Infinity", b"-Infinity", b'{"a":NaN}', b'"\\ud800"', b'"\\udc00"', b'"\\ud800x"',
        b'"\\ud800\\u0041"', b'"\\udc00\\ud800"',
        b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", b"", b" ", b"{", b"{}{}", b"{'a':1}", b'{"a":1,}', b"[1,]", b"01",
        b"+1", b".5", b"1.", b"1e999", b"9" * 5000,
        b'"\n"', b"// c\n1", "{}".encode("utf-16"), b"\x00", b'{"a":1}\x00', b"nul", b'{a:1}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused_without_quoting_it(raw):
    with pytest.raises(DecodeError) as caught:
        parse(raw)
    assert "not valid JSON at line" in str(caught.value)


def test_an_error_never_quotes_the_text():
    with pytest.raises(DecodeError) as caught:
        parse(b'{"secret-word": oops}')
    assert str(caught.value) == "not valid JSON at line 1 column 17"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_nesting_has_a_bound(opening, closing):
    levels = len(opening.replace(b'"a":', b""))
    most = MAX_DEPTH // levels
    parse(opening * most + b"1" + closing * most)
    with pytest.raises(DecodeError, match=f"deeper than {MAX_DEPTH}"):
        parse(opening * (most + 1) + b"1" + closing * (most + 1))


# replace


@pytest.mark.parametrize(
    ("raw", "path", "wanted"),
    [
        (b'{"a":1}', ("a",), b'{"a":X}'),
        (b' { "a" : 1 , "b" : 2 } ', ("b",), b' { "a" : 1 , "b" : X } '),
        (b'{"a":[1, [2 ,3], {"b":4}]}', ("a", 1, 1), b'{"a":[1, [2 ,X], {"b":4}]}'),
        (b'{"a":[1, [2 ,3], {"b":4}]}', ("a", 2, "b"), b'{"a":[1, [2 ,3], {"b":X}]}'),
        (b'{"a":[1, [2 ,3], {"b":4}]}', ("a", 1), b'{"a":[1, X, {"b":4}]}'),
        (b'{"a":{}}', ("a",), b'{"a":X}'),
        (b'{"a":[]}', ("a",), b'{"a":X}'),
        (b'{"a":[]}', ("a", 0), b'{"a":[]}'),
        (b'[{},"a"]', (1,), b'[{},X]'),
        (b'[{},"a",{"b":[{},{}],"c":"d"},"e"]', (2, "c"), b'[{},"a",{"b":[{},{}],"c":X},"e"]'),
        (b'{"a":{"b":1},"b":2}', ("b",), b'{"a":{"b":1},"b":X}'),
        (b'{"\\u0061":"v"}', ("a",), b'{"\\u0061":X}'),
        (b'{"a\\"b":"v"}', ('a"b',), b'{"a\\"b":X}'),
        (b'{"a":"b","b":"a"}', ("a",), b'{"a":X,"b":"a"}'),
        (b'{"a":"}],:{["}', ("a",), b'{"a":X}'),
        (b'{"a":"x\\\\","b":"\\""}', ("b",), b'{"a":"x\\\\","b":X}'),
        ('{"é":"漢"}'.encode(), ("é",), '{"é":X}'.encode()),
        (b'{"":1}', ("",), b'{"":X}'),
        (b'{"0":1,"a":[5]}', (0,), b'{"0":1,"a":[5]}'),
        (b'[true,false,null,-1.5e+3]', (2,), b'[true,false,X,-1.5e+3]'),
        (b'[true,false,null,-1.5e+3]', (3,), b'[true,false,null,X]'),
        (b'"text"', (), b"X"),
        (b" 1 ", (), b" X "),
        (b'{"a":1}', ("b",), b'{"a":1}'),
        (b'{"a":1}', ("a", "b"), b'{"a":1}'),
    ],
)  # fmt: skip
def test_replace_puts_a_value_where_the_path_leads(raw, path, wanted):
    assert replace(raw, {path: b"X"}) == wanted


def test_numbers_escapes_and_spacing_survive_the_redaction_of_a_neighbour():
    raw = b'{"n":12345678901234567890123, "f":1.10, "e":1E+2, "z":-0,\n"s":"\\u00e9\\/", "t" :"old" }'
    assert replace(raw, {("t",): b'"new"'}) == raw.replace(b'"old"', b'"new"')


def test_several_values_are_replaced_at_once():
    raw = b'{"a":["x","y",{"b":"z"}], "c":"w"}'
    values = {("c",): b"1", ("a", 0): b"2", ("a", 2, "b"): b"3"}
    assert replace(raw, values) == b'{"a":[2,"y",{"b":3}], "c":1}'


_BLANK = st.text(" \t\r\n", max_size=2)
_CHARS = st.sampled_from(['"', "\\", "/", "a", "b", "é", "漢", "😀", "\n", "\x00", "{", "}", "[", "]", ":", ","])


@st.composite
def _strings(draw):
    """A string and one of the many ways to write it."""
    chars = draw(st.lists(_CHARS, max_size=5))
    out = '"'
    for char in chars:
        plain = char not in '"\\' and char >= " "
        if plain and draw(st.booleans()):
            out += char
        elif char in '"\\/' and draw(st.booleans()):
            out += "\\" + char
        else:
            units = char.encode("utf-16-be")
            out += "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2))
    return "".join(chars), out + '"'


@st.composite
def _texts(draw, path=(), depth=0):
    """A JSON text as a list of (source, path of the leaf or None)."""
    kind = draw(st.sampled_from(["string", "number"] if depth > 2 else ["string", "number", "list", "dict", "dict"]))
    before, after = (draw(_BLANK), None), (draw(_BLANK), None)
    if kind == "string":
        return [before, (draw(_strings())[1], path), after]
    if kind == "number":
        return [
            before,
            (draw(st.sampled_from(["0", "-0.0", "1e5", "1E-2", "123456789012345678901", "true", "null"])), path),
            after,
        ]
    if kind == "list":
        items = [draw(_texts((*path, index), depth + 1)) for index in range(draw(st.integers(0, 3)))]
    else:
        keys = draw(st.lists(_strings(), max_size=3, unique_by=lambda each: each[0]))
        items = [
            [(f"{draw(_BLANK)}{source}{draw(_BLANK)}:", None), *draw(_texts((*path, key), depth + 1))]
            for key, source in keys
        ]
    inner = [token for index, item in enumerate(items) for token in ([(",", None)] * bool(index)) + item]
    brackets = "[]" if kind == "list" else "{}"
    return [before, (brackets[0], None), *(inner or [(draw(_BLANK), None)]), (brackets[1], None), after]


@settings(max_examples=600, deadline=None)
@given(_texts(), st.data())
def test_replace_changes_the_wanted_values_and_no_other_byte(tokens, drawn):
    raw = "".join(source for source, _ in tokens).encode()
    parse(raw)
    leaves = [path for _, path in tokens if path is not None]
    chosen = {path for path in leaves if drawn.draw(st.booleans())}
    wanted = "".join('"new"' if path in chosen else source for source, path in tokens).encode()
    assert replace(raw, dict.fromkeys(chosen, b'"new"')) == wanted


# set_member


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"{}", b'{"k":1}'),
        (b" { } ", b' {"k":1 } '),
        (b'{"a":2}', b'{"k":1,"a":2}'),
        (b'\n{ "a":2}', b'\n{"k":1, "a":2}'),
        (b'{"k":"old" , "a":2}', b'{"k":1 , "a":2}'),
        (b'{"\\u006b":"old"}', b'{"\\u006b":1}'),
        (b'{"a":{"k":5}}', b'{"k":1,"a":{"k":5}}'),
        (b'{"k":{"k":[1,2]}}', b'{"k":1}'),
        (b'{"a":"\\"k\\":"}', b'{"k":1,"a":"\\"k\\":"}'),
    ],
)
def test_set_member_changes_or_adds_one_member(raw, wanted):
    found = set_member(raw, "k", b"1")
    assert found == wanted
    assert parse(found) == {**json.loads(raw), "k": 1}


def test_set_member_escapes_the_key_it_adds():
    assert parse(set_member(b"{}", 'a"\n', b"1")) == {'a"\n': 1}


def test_dump_is_compact_and_dump_pretty_is_not():
    assert dump({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
    assert dump_pretty({"a": 1}) == '{\n  "a": 1\n}'


def test_so_many_values_that_they_would_fill_the_memory_are_refused():
    with pytest.raises(DecodeError, match="more than 1000000 values"):
        parse(b"[" + b"[]," * MAX_VALUES + b"[]]")
    assert len(parse(b"[" + b"0," * (MAX_VALUES - 1) + b"0]")) == MAX_VALUES
    text = "a,b" * MAX_VALUES + '\\",'
    assert parse(dump({"csv": text})) == {"csv": text}  # commas in texts are no values
