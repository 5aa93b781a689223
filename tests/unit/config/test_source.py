"""YAML with positions: plain values, words that stay words, duplicates, includes and where all of it stands."""

import pytest

from extproc.config.source import read
from extproc.errors import ConfigError


def write(folder, text, name="main.yaml"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def problems(path):
    with pytest.raises(ConfigError) as caught:
        read(path)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("y", "y"), ("N", "N"), ("Yes", "Yes"),
        ("OFF", "OFF"), ("true", True), ("False", False), ("TRUE", True),
        ("tRue", "tRue"), ("1", 1), ("1.5", 1.5), ("null", None), ("~", None), ("", None), ("'1'", "1"),
        ("text", "text"), ("32MiB", "32MiB"), ("[1, on]", [1, "on"]),
        ("{a: off}", {"a": "off"}), ("env:X", "env:X"), ("$X", "$X"), ("0.0.0.0:80", "0.0.0.0:80"),
        ("2024-01-15", "2024-01-15"), ("2024-13-45", "2024-13-45"),
    ],
)  # fmt: skip
def test_values_are_yaml_1_2s_and_words_stay_words(tmp_path, text, value):
    assert read(write(tmp_path, f"key: {text}\n")).tree == {"key": value}


def test_keys_that_look_like_booleans_stay_words(tmp_path):
    assert read(write(tmp_path, "on: 1\nno: 2\n")).tree == {"on": 1, "no": 2}


def test_every_path_has_its_place(tmp_path):
    source = read(write(tmp_path, "# comment\na:\n  b: [x, {c: 1}]\n  d: 2\n"))
    assert [
        (source.place(keys).line, source.place(keys).column)
        for keys in [("a",), ("a", "b"), ("a", "b", 1, "c"), ("a", "d")]
    ] == [(3, 3), (3, 6), (3, 14), (4, 6)]
    assert source.place(("a", "b", 1, "missing")).column == 10, "the nearest value around it"
    assert str(source.place(("a", "d"))).endswith("main.yaml:4:6")
    assert str(source.problem(("a", "d"), "is wrong")).endswith("main.yaml:4:6: a.d: is wrong")


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "'a' stands here again; first at"),
        ("a:\n  b: 1\n  c: {d: 1, d: 2}\n", 3, 13, "'d' stands here again; first at"),
        ("a: [{b: 1, b: 2}]\n", 1, 12, "'b' stands here again"),
        ("1: a\n", 1, 1, "a key must be text"),
        ("a: {true: 1}\n", 1, 5, "a key must be text"),
        ("? [a]\n: 1\n", 1, 3, "a key must be text"),
        ("- a\n", 1, 1, "must be a mapping"),
        ("just text\n", 1, 1, "must be a mapping"),
        ("a: 1\nb: [\n", 3, 1, ""),
        ("a: !thing 1\n", 1, 4, "is not a value"),
        ("a: b: c\n", 1, 5, "mapping values are not allowed"),
        ("a: *nope\n", 1, 4, "undefined alias"),
        ("a: !!int abc\n", 1, 4, "is not a value"),
        ("a: &x [*x]\n", 1, 4, "nested deeper"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", 1, 36, "nested deeper"),
    ],
)
def test_an_error_says_where_it_is(tmp_path, text, line, column, message):
    (found,) = problems(write(tmp_path, text))
    assert message in found.message
    assert (found.line, found.column) == (line, column)
    assert found.file.endswith("main.yaml")


def test_a_duplicate_names_the_first_place_too(tmp_path):
    (found,) = problems(write(tmp_path, "a: 1\nb: 2\na: 3\n"))
    assert "main.yaml:1:1" in found.message


@pytest.mark.parametrize(
    ("raw", "message"), [(b"a: \xff", "is not UTF-8"), (b"a: \x00", "is not YAML"), (b"a: \x07b", "is not YAML")]
)
def test_what_is_no_text_is_refused(tmp_path, raw, message):
    path = tmp_path / "main.yaml"
    path.write_bytes(raw)
    assert message in problems(path)[0].message


def test_a_file_that_is_not_there(tmp_path):
    (found,) = problems(tmp_path / "nope.yaml")
    assert "No such file" in found.message
    assert found.file.endswith("nope.yaml")


def test_an_empty_file_is_an_empty_configuration(tmp_path):
    assert read(write(tmp_path, "# nothing\n")).tree == {}


def test_included_maps_merge_by_key_and_remember_their_file(tmp_path):
    write(tmp_path, "policies:\n  b: {kind: pii}\nversion: 1\n", "conf.d/b.yaml")
    write(tmp_path, "policies:\n  c: {kind: pii}\n", "conf.d/c.yaml")
    source = read(write(tmp_path, "include: [conf.d/*.yaml]\nversion: 1\npolicies:\n  a: {kind: pii}\n"))
    assert source.tree == {"version": 1, "policies": {name: {"kind": "pii"} for name in "abc"}}
    assert source.place(("policies", "b", "kind")).file.endswith("b.yaml")
    assert source.place(("policies", "a", "kind")).line == 4
    assert [path.name for path in source.files] == ["main.yaml", "b.yaml", "c.yaml"]


def test_an_include_may_be_a_single_name_and_is_relative_to_its_file(tmp_path):
    write(tmp_path, "include: deeper/two.yaml\na: 1\n", "one/one.yaml")
    write(tmp_path, "b: 2\n", "one/deeper/two.yaml")
    assert read(write(tmp_path, "include: one/one.yaml\n")).tree == {"a": 1, "b": 2}


def test_the_same_key_in_two_files_names_both_places(tmp_path):
    write(tmp_path, "x: 1\npolicies:\n  a: {kind: regex}\n", "more.yaml")
    found = problems(write(tmp_path, "include: more.yaml\npolicies:\n  a: {kind: pii}\n"))
    assert [(each.line, each.column) for each in found] == [(3, 13)]
    assert found[0].file.endswith("more.yaml")
    assert "'policies.a.kind' is also set at" in found[0].message
    assert "main.yaml:3:13" in found[0].message


def test_all_clashes_are_told_at_once_and_another_version_is_one(tmp_path):
    write(tmp_path, "version: 2\na: 2\nb: {c: 1}\n", "more.yaml")
    found = problems(write(tmp_path, "include: more.yaml\nversion: 1\na: 1\nb: 3\n"))
    assert [each.message.split("'")[1] for each in found] == ["version", "a", "b"]


@pytest.mark.parametrize(("one", "two"), [("main.yaml", None), ("two.yaml", "main.yaml"), ("two.yaml", "two.yaml")])
def test_a_file_that_includes_itself_is_refused(tmp_path, one, two):
    if two:
        write(tmp_path, f"include: {two}\n", "two.yaml")
    assert "includes itself" in problems(write(tmp_path, f"include: {one}\n"))[0].message


@pytest.mark.parametrize("value", ["3", "{a: b}", "[1]", "[[a]]", '""', "/etc/*.yaml", "true"])
def test_an_include_that_is_no_name_is_refused(tmp_path, value):
    found = problems(write(tmp_path, f"a: 1\ninclude: {value}\n"))
    assert "include" in str(found[0])


def test_an_included_file_that_is_not_there_is_an_error_a_pattern_without_files_is_not(tmp_path):
    """A policy file that is missing must not go unnoticed."""
    assert read(write(tmp_path, "include: conf.d/*.yaml\na: 1\n")).tree == {"a": 1}
    (found,) = problems(write(tmp_path, "a: 1\ninclude: [conf.d/missing.yaml]\n"))
    assert "missing.yaml" in found.message
    assert found.line == 2
