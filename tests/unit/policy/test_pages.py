"""docs/kinds is what the code says; every kind has a page, an example that works, and words for each field."""

import os
from pathlib import Path

import pytest
import yaml

from extproc.guard import Guard
from extproc.policy.kinds import KINDS
from extproc.policy.pages import index, name_of, page

FOLDER = Path(__file__).parents[3] / "docs" / "kinds"
UPDATE = bool(os.environ.get("UPDATE_EXAMPLES"))


def in_step(path, text):
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, f"{path.name} is out of date: run this test with UPDATE_EXAMPLES=1"


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_page(kind):
    in_step(FOLDER / f"{name_of(kind)}.md", page(kind))


def test_index():
    in_step(FOLDER / "README.md", index(KINDS))


def test_there_is_no_page_of_a_kind_that_is_gone():
    assert {path.stem for path in FOLDER.glob("*.md")} == {name_of(kind) for kind in KINDS} | {"README"}


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_every_field_is_described(kind):
    assert not [name for name, info in kind.model_fields.items() if name != "kind" and not info.description]


SHOUTING = """
from pydantic import BaseModel

class NoShouting:
    class Config(BaseModel):
        letters: int
    def __init__(self, config):
        self.config = config
    def inspect(self, texts, caller):
        return None
"""


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_the_example_works(kind, tmp_path):
    found = yaml.safe_load(kind.example)
    assert {each["kind"] for each in found["policies"].values()} == {name_of(kind)}
    (tmp_path / "extproc.yaml").write_text(kind.example)
    (tmp_path / "shouting.py").write_text(SHOUTING)
    Guard.load(tmp_path / "extproc.yaml", environment={"MODERATION_KEY": "k"})
