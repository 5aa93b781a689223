"""References: whole values only, resolved to what they refer to, and never quoted in an error."""

import pytest

from extproc.config.references import UnresolvedError, is_reference, resolve, variable


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("env:A", "A"),
        ("$A_1", "A_1"),
        ("${A}", "A"),
        ("os.environ/A", "A"),
        ("env:", None),
        ("$", None),
        ("${A", None),
        ("x$A", None),
        ("$A b", None),
        ("env:A-B", None),
        ("file:A", None),
        ("plain", None),
        ("env:É", None),
        ("$A\n", None),
    ],
)
def test_the_variable_a_value_names(value, name):
    assert variable(value) == name


def test_what_refers_to_something_else():
    assert [is_reference(value) for value in ("env:A", "file:p", "sk-1234", "")] == [True, True, False, False]


def test_values_variables_and_files(tmp_path):
    (tmp_path / "key").write_text(" sk-1 \n", "utf-8")
    assert resolve("plain", {}, tmp_path) == "plain"
    assert resolve("env:A", {"A": "1"}, tmp_path) == "1"
    assert resolve("file:key", {}, tmp_path) == "sk-1"
    assert resolve(f"file:{tmp_path / 'key'}", {}, tmp_path / "elsewhere") == "sk-1"


@pytest.mark.parametrize("value", ["env:NOPE", "env:EMPTY", "file:nope", "file:binary", "file:."])
def test_what_leads_nowhere_is_named(tmp_path, value):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UnresolvedError):
        resolve(value, {"EMPTY": ""}, tmp_path)
