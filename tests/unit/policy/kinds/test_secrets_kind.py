"""The kind ``secrets``: its defaults, what it refuses, what is never reported."""

import random

import pydantic
import pytest

from extproc.policy.api import Action
from extproc.policy.kinds.base import Context
from extproc.policy.kinds.secrets import Secrets
from extproc.policy.pattern import PatternError
from extproc.policy.scanner import Scanner
from extproc.policy.secrets import families
from tests.detect import made


def compiled(**fields):
    return Secrets.model_validate({"kind": "secrets", **fields}).compile("p", Context())


def found(text, **fields):
    policy = compiled(**fields)
    scanner = Scanner(tuple((policy, rule) for rule in policy.rules))
    return {scanner.rule(match).label for match in scanner.scan(text)}


def test_by_default_everything_is_looked_for_and_redacted():
    policy = compiled()
    assert policy.action is Action.REDACT
    assert {rule.label for rule in policy.rules} == {family.name for family in families()}
    assert {rule.replacement for rule in compiled(find=["github"]).rules} == {"[github]"}
    assert {rule.replacement for rule in compiled(find=["github"], replace="<{type}>").rules} == {"<github>"}


@pytest.mark.parametrize(
    "fields",
    [
        {"find": []},
        {"find": ["nothing"]},
        {"find": ["vcs"], "except": ["vcs"]},
        {"except": ["all"]},
        {"entropy": -1},
        {"entropy": 7},
        {"allow": [""]},
        {"except_": ["vcs"]},
    ],
)
def test_what_makes_no_sense_is_refused(fields):
    with pytest.raises(pydantic.ValidationError):
        compiled(**fields)


def test_an_expression_that_re2_refuses_is_named():
    with pytest.raises(PatternError, match="allow: "):
        compiled(allow=["/(/"])


def test_allowed_secrets_are_not_reported():
    dice = random.Random(1)
    one, two = made.made("gh|p_{A30}{C}", dice), made.made("gh|p_{A30}{C}", dice)
    assert found(f"{one} {two}", allow=[one]) == {"github"}
    assert found(f"{one} {two}", allow=[one, two]) == set()
    assert found(f"{one} {two}", allow=["/gh[a-z]_.*/"]) == set()
    assert found(one, allow=["/gh._/"]) == {"github"}, "an expression must match the whole secret"
    assert found(one, allow=[one[:-1]]) == {"github"}, "a text must be the whole secret"
    assert found(f"password = '{one[4:20]}'", allow=[one[4:20]]) == set(), "what counts is the value, not its name"


def test_entropy_decides_about_values_without_a_shape():
    text = "api_key = '" + "a1b2c3d4" * 3 + "'"
    assert found(text, entropy=2.5) == {"secret"}
    assert found(text, entropy=3.5) == set()
    token = made.made("gh|p_{A30}{C}", random.Random(2))
    assert found(token, entropy=6) == {"github"}


def test_a_configuration_can_be_written_again():
    value = Secrets.model_validate({"kind": "secrets", "except": "generic"})
    assert value.model_dump(exclude_unset=True) == {"kind": "secrets", "except": ["generic"]}
