"""Packs: where they are found, what a bad one is refused for, and that the shipped ones prove themselves."""

import pytest
import yaml

from extproc.errors import ConfigError
from extproc.policy import packs
from extproc.policy.rules import Sample
from extproc.policy.words import WordRule

GOOD = {
    "pack": "mine",
    "version": 1,
    "about": "test",
    "kind": "wordlist",
    "words": ["foo", "bar baz"],
    "examples": {"match": ["a Foo"], "clean": ["food"]},
}


def write(folder, name="mine", **changes):
    value = {key: each for key, each in {**GOOD, **changes}.items() if each is not None}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(value), "utf-8")


def problem(folder, name="mine"):
    with pytest.raises(ConfigError) as caught:
        packs.load(name, folder)
    return str(caught.value)


def test_shipped_packs_load_and_prove_themselves():
    names = packs.available()
    assert {"adult", "profanity", "prompt-injection"} <= set(names)
    for name in names:
        pack = packs.load(name)
        rule = WordRule(name, pack.words, "")
        assert len(rule) >= 10
        assert pack.examples.clean, f"{name} must show what it leaves alone"
        for text in pack.examples.match:
            assert rule.find(Sample(text, closed=True), 0, len(text))
        for text in pack.examples.clean:
            assert not rule.find(Sample(text, closed=True), 0, len(text))


def test_a_pack_of_ones_own(tmp_path):
    write(tmp_path)
    assert packs.load("mine", tmp_path).words == ["foo", "bar baz"]
    assert "mine" in packs.available(tmp_path)
    assert "mine" not in packs.available()


def test_the_operators_folder_comes_first_then_the_environment(tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, word in ((one, "foo"), (two, "foo two")):
        folder.mkdir()
        write(folder, "adult", pack="adult", words=[word], examples={"match": [word]})
    monkeypatch.setenv("EXTPROC_POLICIES", str(two))
    assert packs.load("adult").words == ["foo two"]
    assert packs.load("adult", one).words == ["foo"]
    monkeypatch.delenv("EXTPROC_POLICIES")
    assert len(packs.load("adult").words) > 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"examples": {"match": ["nothing here"]}}, "example not found: 'nothing here'"),
        ({"examples": {"match": ["foo"], "clean": ["a foo"]}}, "clean example found: 'a foo'"),
        ({"examples": {"match": []}}, "examples.match"),
        ({"examples": None}, "examples"),
        ({"words": []}, "words"),
        ({"words": [1]}, "words.0"),
        ({"kind": "regex"}, "kind"),
        ({"extra": 1}, "extra"),
        ({"version": "new"}, "version"),
        ({"pack": "other"}, "calls itself 'other'"),
    ],
)
def test_a_bad_pack_is_refused_with_file_and_reason(tmp_path, changes, message):
    write(tmp_path, **changes)
    text = problem(tmp_path)
    assert message in text
    assert "mine.yaml" in text


def test_every_failing_example_is_named(tmp_path):
    write(tmp_path, examples={"match": ["one", "two"], "clean": ["foo"]})
    assert problem(tmp_path).count("mine.yaml") == 3


@pytest.mark.parametrize("raw", [b"a: [", b"- 1", b"", b"\xff\xfe", b"!!python/object:os.system {}"])
def test_what_is_no_pack_file_is_refused(tmp_path, raw):
    (tmp_path / "mine.yaml").write_bytes(raw)
    assert "mine.yaml" in problem(tmp_path)


def test_a_pack_that_is_not_there_names_those_that_are(tmp_path):
    assert "there is no pack 'nope'; known: adult" in problem(tmp_path, "nope")
