"""Providers from YAML, as the rest gets them."""

from extproc.config.load import load
from extproc.errors import ConfigError
from extproc.providers.build import provided

KEYED = {"K": "key-1", "K2": "key-2", "K3": "key-3"}


def built(folder, text, environment=None):
    """The providers of a configuration, and what is wrong with it."""
    path = folder / "extproc.yaml"
    path.write_text(text)
    problems = []
    try:
        loaded = load(path, KEYED | (environment or {}))
    except ConfigError as error:
        return {}, error.problems
    return provided(loaded, problems), problems


def one(folder, fields, environment=None):
    """The provider called p with these fields."""
    found, problems = built(folder, f"providers: {{p: {fields}}}", environment)
    assert problems == []
    return found["p"]
