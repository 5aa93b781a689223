"""The table of field names."""

import importlib
import pkgutil

import pytest

from extproc import formats
from extproc.policy.fields import SHAPES, added, at, members, place, plain, settings, whole


def test_every_format_we_have_has_a_shape():
    names = set()
    for module in pkgutil.iter_modules(formats.__path__):
        for each in vars(importlib.import_module(f"extproc.formats.{module.name}")).values():
            if isinstance(each, type) and isinstance(getattr(each, "name", None), str):
                names.add(each.name)
    assert names
    assert names <= set(SHAPES)


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "maxTokens", "MAX_TOKENS", "max-tokens", "Max.Tokens", " max tokens ", "max_to\u212aen\u017f"],
)
def test_spellings(name):
    assert plain(name) == "maxtokens"


def test_what_is_no_spelling():
    assert plain("max_token") != plain("max_tokens")
    assert plain("m" * 65) == "m" * 65
    assert (plain(5), plain(None)) == ("", "")


def test_members_of_the_settings_with_their_paths():
    body = {"a": {"b": [{"n": 1}]}, "messages": [{"n": 2}], "n": None, "schema": {"n": 3}, "N": 4}
    assert {(each.path, each.value) for each in settings(body, frozenset({"n"}))} == {
        (("a", "b", 0, "n"), 1),
        (("N",), 4),
    }
    assert ("messages",) in {each.path for each in members(body)}
    assert next(each.param for each in members({"a": [{"b": 1}]}) if each.name == "b") == "a.b"
    assert next(each.param for each in members({"a b": {"n": 1}}) if each.name == "n") == "n"


def test_deep_bodies_cost_little():
    body = value = {}
    for _ in range(10_000):
        value["a"] = value = {}
    assert sum(1 for _ in members(body)) == 10_000


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1), (0, 0), (-3, -3), (2.0, 2), (1.5, None), ("1", None), (True, None), (None, None), (1e300, None), (2**60, None),
     (float("inf"), None), (float("nan"), None), ([], None)],
)  # fmt: skip
def test_whole_numbers(value, number):
    assert whole(value) == number


def test_places():
    gemini, chat = SHAPES["gemini"], SHAPES["openai-chat"]
    path = ("generationConfig", "maxOutputTokens")
    assert place({}, path, gemini) == path
    assert place({"generation_config": {}}, path, gemini) == ("generation_config", "maxOutputTokens")
    assert place({"generation_config": {"max_output_tokens": 1}}, path, gemini) == (
        "generation_config",
        "max_output_tokens",
    )
    assert place({"generationConfig": {}, "generation_config": {}}, path, gemini) == path
    assert place({"generation_config": {}}, path, chat) == path
    assert at({"a": {"b": 1}}, ("a", "b")) == 1
    assert at({"a": [1]}, ("a", "b")) is None


def test_what_is_around_an_addition_is_made_an_object():
    assert added({}, ("a", "b"), 1) == (("a", "b"), 1)
    assert added({"a": {}}, ("a", "b"), 1) == (("a", "b"), 1)
    assert added({"a": None}, ("a", "b"), 1) == (("a", "b"), 1)
    assert added({"a": [5]}, ("a", "b", "c"), 1) == (("a",), {"b": {"c": 1}})
