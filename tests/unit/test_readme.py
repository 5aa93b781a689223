"""The README's table of timeouts says what the code does."""

import re

import pytest

from extproc.cli import main
from extproc.config.model import Gateway, ModelGroup, Processor
from tests.support import ROOT

MODELS = {"models.NAME": ModelGroup, "processor": Processor, "gateway": Gateway}


def test_timeouts_are_the_defaults():
    rows = re.findall(
        r"^\| [^|]+ \| `([\w.]+)\.(\w+)` \| (\d+) s \|$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) == 7
    for where, name, seconds in rows:
        assert MODELS[where].model_fields[name].default == float(seconds), name


def test_every_command_of_the_readme_exists():
    names = re.findall(r"^\| `extproc (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert {"up", "serve", "demo", "check", "reload", "config", "render"} <= set(names)
    for name in names:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
