"""The configuration of policies: defaults, what is refused, and what compiles to what."""

import pydantic
import pytest

from extproc.config.references import UnresolvedError
from extproc.errors import ConfigError
from extproc.policy.api import Action, Mode, OnError, Phase, Scope
from extproc.policy.kinds import KINDS, AnyPolicy
from extproc.policy.kinds.base import Context
from extproc.policy.pattern import PatternError
from extproc.policy.rules import Sample

ADAPTER = pydantic.TypeAdapter(AnyPolicy)
REGEX = {"kind": "regex", "patterns": ["ab"]}
WORDS = {"kind": "wordlist", "words": ["ab"]}


def compiled(value, context=None):
    return ADAPTER.validate_python(value).compile("p", context or Context())


def test_the_defaults_enforce_everywhere_and_fail_closed():
    for value in (REGEX, WORDS, {"kind": "pii"}, {"kind": "secrets"}):
        policy = compiled(value)
        assert (policy.action, policy.mode, policy.on_error) == (Action.REDACT, Mode.ENFORCE, OnError.BLOCK)
        assert (policy.phases, policy.scopes) == (frozenset(Phase), frozenset(Scope))
        assert policy.enforced
    assert len(KINDS) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": "reply"}, "needs a `reply` text and `phase: request`"),
        ({"action": "reply", "reply": "no"}, "needs a `reply` text and `phase: request`"),
        ({"action": "reply", "reply": "", "phase": "request"}, "needs a `reply` text"),
        ({"action": "reply", "reply": "no", "phase": "response"}, "`phase: request`"),
        ({"reply": "no"}, "only used with `action: reply`"),
        ({"action": "block", "replace": "x"}, "only used with `action: redact`"),
        ({"action": "allow"}, "action"),
        ({"mode": "off"}, "mode"),
        ({"scope": "everything"}, "scope"),
        ({"patterns": []}, "patterns"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message):
    with pytest.raises(pydantic.ValidationError) as caught:
        compiled({**REGEX, **changes})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "wordlist"},
        {"kind": "wordlist", "words": ["a", " "]},
        {"kind": "pii", "find": []},
        {"kind": "pii", "find": ["ssn"]},
        {"kind": "nope"},
        {},
    ],
)
def test_a_kind_refuses_what_it_cannot_work_with(value):
    with pytest.raises(pydantic.ValidationError):
        compiled(value)


@pytest.mark.parametrize(
    ("scope", "wanted"),
    [
        ("user", {Scope.USER}),
        (["system", "user"], {Scope.SYSTEM, Scope.USER}),
        ("tool", {Scope.TOOL_INPUT, Scope.TOOL_OUTPUT}),
        (["tool", "tool_input"], {Scope.TOOL_INPUT, Scope.TOOL_OUTPUT}),
        ([], set()),
    ],
)
def test_scopes_may_be_one_or_several_and_tool_is_both_ways(scope, wanted):
    assert compiled({**REGEX, "scope": scope}).scopes == wanted


def test_phases_and_modes():
    assert compiled({**REGEX, "phase": "response"}).phases == {Phase.RESPONSE}
    assert not compiled({**REGEX, "mode": "audit"}).enforced
    assert not compiled({**REGEX, "action": "audit"}).enforced
    assert compiled({**REGEX, "action": "reply", "reply": "no", "phase": "request"}).reply == "no"


def test_replacements_name_the_type():
    patterns = {**REGEX, "patterns": {"one": "a", "two": "b"}}
    assert [rule.replacement for rule in compiled(patterns).rules] == ["[one]", "[two]"]
    assert [rule.replacement for rule in compiled({**patterns, "replace": "<{type}>{type}"}).rules] == [
        "<one>one",
        "<two>two",
    ]
    assert [rule.replacement for rule in compiled(patterns, Context(redaction="****")).rules] == ["****", "****"]
    assert [rule.replacement for rule in compiled({**REGEX, "replace": ""}).rules] == [""]
    assert [rule.label for rule in compiled(REGEX).rules] == ["p"]
    assert {rule.label for rule in compiled({"kind": "pii", "find": ["phone", "email"]}).rules} == {"phone", "email"}


def test_a_pattern_that_cannot_be_used_is_named():
    with pytest.raises(PatternError, match=r"'a\*': '\*' has no bound"):
        compiled({**REGEX, "patterns": ["ok", "a*"]})


def test_case_can_be_ignored():
    for ignore, wanted in ((True, (0, 2)), (False, None)):
        rule = compiled({**REGEX, "ignore_case": ignore}).rules[0]
        assert rule.find(Sample("AB", closed=True), 0, 2) == wanted


def test_words_come_from_the_configuration_files_and_packs(tmp_path):
    (tmp_path / "list.txt").write_text("one\n\n two \n", "utf-8")
    context = Context(tmp_path)
    policy = compiled({"kind": "wordlist", "words": ["zero", "file:list.txt"], "pack": "adult"}, context)
    assert [rule.label for rule in policy.rules] == ["adult", "p"]
    own = policy.rules[1]
    assert all(own.find(Sample(word, closed=True), 0, len(word)) for word in ("zero", "one", "two"))
    with pytest.raises(UnresolvedError, match=r"missing\.txt"):
        compiled({"kind": "wordlist", "words": ["file:missing.txt"]}, context)
    with pytest.raises(ConfigError, match="no pack 'nope'"):
        compiled({"kind": "wordlist", "pack": "nope"}, context)
