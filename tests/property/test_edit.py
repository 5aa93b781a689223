"""Edits of JSON text mean what the same edits of its value mean, and touch nothing else."""

import copy
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.framing.jsonedit import REMOVED, Insert, edit, edited
from extproc.framing.jsontext import dump, parse, replace

KEYS = st.sampled_from(["a", "b", "c", "d", 'q"{', "é😀", "\\", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**15) | st.sampled_from(["", "x", 'a"b', "é,]}", "\\u0041\n:{["]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
BLANKS = st.text(" \t\r\n", max_size=2)


def written(draw, value):
    """The value as JSON text, spelled in one of many ways."""
    blank = lambda: draw(BLANKS)  # noqa: E731
    if isinstance(value, dict):
        members = [
            f"{blank()}{json.dumps(key, ensure_ascii=draw(st.booleans()))}{blank()}:{blank()}{written(draw, child)}{blank()}"
            for key, child in value.items()
        ]
        return "{" + ",".join(members) + (blank() if not members else "") + "}"
    if isinstance(value, list):
        members = [f"{blank()}{written(draw, child)}{blank()}" for child in value]
        return "[" + ",".join(members) + (blank() if not members else "") + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


def places(value, path=()):
    """Every path, those of insertions and of members that are not there included."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, (*path, key))
        yield (*path, "new")
        yield (*path, "newer", "deep")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from places(child, (*path, index))
        for at in (0, len(value) // 2, len(value), None):
            yield (*path, Insert(at))
    elif value is None and path:
        yield (*path, "under", "null")


@st.composite
def cases(draw):
    value = draw(OBJECTS)
    text = written(draw, value)
    chosen = draw(st.lists(st.sampled_from(sorted(set(places(value)), key=repr)), max_size=5, unique=True))
    edits = {}
    for path in chosen:
        if any(path[: len(other)] == other or other[: len(path)] == path for other in edits):
            continue
        insertion = isinstance(path[-1], Insert)
        edits[path] = draw(VALUES) if insertion or draw(st.booleans()) else REMOVED
    return value, text.encode(), edits


def naive(value, edits):
    """The same, one edit after another, the last places first."""
    value = copy.deepcopy(value)
    gone = object()
    inserts = []
    for path, new in edits.items():
        node = value
        for step in path[:-1]:
            if (node.get(step) if isinstance(node, dict) else node[step]) is None:
                if new is REMOVED:
                    node = None
                    break
                node[step] = {}
            node = node[step]
        if node is None:
            continue
        if isinstance(path[-1], Insert):
            inserts.append((node, len(node) if path[-1].at is None else min(path[-1].at, len(node)), new))
        elif isinstance(node, list):
            node[path[-1]] = gone if new is REMOVED else copy.deepcopy(new)
        elif new is REMOVED:
            node.pop(path[-1], None)
        else:
            node[path[-1]] = copy.deepcopy(new)
    for node, at, new in sorted(inserts, key=lambda each: each[1])[::-1]:
        node.insert(at, copy.deepcopy(new))

    def clean(node):
        if isinstance(node, list):
            return [clean(each) for each in node if each is not gone]
        return {key: clean(each) for key, each in node.items()} if isinstance(node, dict) else node

    return clean(value)


@settings(max_examples=1000)
@given(cases())
def test_the_text_and_the_value_agree(case):
    value, raw, edits = case
    before = copy.deepcopy(value)
    after = edited(value, edits)
    assert value == before
    assert after == naive(value, edits)
    assert parse(edit(raw, edits)) == after
    assert list(parse(edit(raw, edits))) == list(after)
    assert edit(raw, {}) is raw


@settings(max_examples=500)
@given(cases())
def test_one_edit_changes_one_stretch_of_bytes(case):
    value, raw, edits = case
    for path, new in edits.items():
        result = edit(raw, {path: new})
        same = common_start(raw, result) + common_start(raw[::-1], result[::-1])
        if new is REMOVED:
            assert same >= len(result)
        elif isinstance(path[-1], Insert) or not there(value, path):
            assert same >= (len(raw) if not null_above(value, path) else len(raw) - 4)
        else:
            assert result == replace(raw, {path: dump(new)})


def common_start(one, other):
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def there(value, path):
    for step in path:
        if isinstance(value, dict):
            if step not in value:
                return False
        elif value is None:
            return False
        value = value[step]
    return True


def null_above(value, path):
    return (
        any(there(value, path[:end]) for end in range(1, len(path)))
        and not isinstance(path[-1], Insert)
        and "null" in path
    )
