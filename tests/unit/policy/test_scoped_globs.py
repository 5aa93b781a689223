"""Globs with roles."""

import orjson
import pytest

from extproc.errors import ConfigError
from extproc.guard import Guard


def outcome(tmp_path, globs, role, text, action="block"):
    path = tmp_path / "extproc.yaml"
    path.write_text(f"policies: {{g: {{kind: regex, globs: {globs}, action: {action}}}}}")
    guard = Guard.load(path, environment={})
    body = {"model": "m", "messages": [{"role": role, "content": text}]}
    return guard.check_request(orjson.dumps(body)).outcome


@pytest.mark.parametrize(
    ("globs", "role", "text", "expected"),
    [
        ("['system:*jailbreak*']", "system", "please Jailbreak yourself", "block"),
        ("['system:*jailbreak*']", "developer", "a\njailbreak\nb", "block"),
        ("['system:*jailbreak*']", "user", "please jailbreak yourself", "allow"),
        ("['*jailbreak*']", "user", "please jailbreak yourself", "block"),
        ("['jailbreak']", "user", "please jailbreak yourself", "allow"),
        ("['user:hello ?']", "user", "Hello X", "block"),
        ("['note: *']", "user", "note: x", "block"),
        ("['a(*']", "user", "a(b", "block"),
    ],
)
def test_globs(tmp_path, globs, role, text, expected):
    assert outcome(tmp_path, globs, role, text) == expected


def test_audit(tmp_path):
    assert outcome(tmp_path, "['*x*']", "user", "axb", "audit") == "audit"


@pytest.mark.parametrize("text", ["globs: ['x'], action: redact", "patterns: []", "action: block"])
def test_what_cannot_be_meant(tmp_path, text):
    path = tmp_path / "extproc.yaml"
    path.write_text(f"policies: {{g: {{kind: regex, {text}}}}}")
    with pytest.raises(ConfigError):
        Guard.load(path, environment={})
