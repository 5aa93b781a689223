"""What every kind that judges requests has in common."""

import pydantic
import pytest

from extproc.policy.api import Action, Mode, OnError, Phase
from extproc.policy.kinds import KINDS
from extproc.policy.kinds.base import RequestPolicyBase
from tests.unit.policy.kinds.support import compiled

EXAMPLES = {
    "autoreply": {"answers": [{"text": "hi", "reply": "hello"}]},
    "caps": {"max_tools": 0},
    "identity": {"require_user": True},
    "language": {"deny": "Han"},
    "models": {"deny": "m"},
    "operations": {"deny": "chat"},
    "reflection": {},
    "rewrite": {"set": {"temperature": 0}},
    "tools": {"forbid": True},
    "vision": {},
}
DEFAULTS = {"autoreply": Action.REPLY, "rewrite": Action.REDACT}
TESTED = [kind for kind in KINDS if issubclass(kind, RequestPolicyBase)]


def test_there_is_an_example_of_each():
    assert {kind.model_fields["kind"].annotation.__args__[0] for kind in TESTED} == set(EXAMPLES)
    assert all(
        kind.__doc__ and field.description
        for kind in TESTED
        for name, field in kind.model_fields.items()
        if name != "kind"
    )


@pytest.mark.parametrize("kind", EXAMPLES)
def test_defaults(kind):
    policy = compiled({"kind": kind, **EXAMPLES[kind]})
    assert (policy.action, policy.mode, policy.on_error) == (
        DEFAULTS.get(kind, Action.BLOCK),
        Mode.ENFORCE,
        OnError.BLOCK,
    )
    assert (policy.phases, policy.rules) == ({Phase.REQUEST}, ())
    assert policy.request is not None
    assert not compiled({"kind": kind, "mode": "audit", **EXAMPLES[kind]}).enforced


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("field", ["phase", "scope", "replace", "reply"])
def test_fields_of_texts_are_refused_clearly(kind, field):
    if (kind, field) in (("language", "scope"), ("reflection", "scope"), ("reflection", "replace")):
        return
    with pytest.raises(pydantic.ValidationError, match=f"`{field}` has no meaning here"):
        compiled({"kind": kind, field: "request", **EXAMPLES[kind]})


@pytest.mark.parametrize("kind", EXAMPLES)
def test_actions_that_make_no_sense_are_refused(kind):
    wanted = {
        "autoreply": {"reply", "audit"},
        "rewrite": {"redact", "audit"},
        "reflection": {"redact", "block", "audit"},
    }
    for action in ("audit", "redact", "reply", "block"):
        if action in wanted.get(kind, {"block", "audit"}):
            compiled({"kind": kind, "action": action, **EXAMPLES[kind]})
        else:
            with pytest.raises(pydantic.ValidationError, match="action"):
                compiled({"kind": kind, "action": action, **EXAMPLES[kind]})


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "caps"},
        {"kind": "caps", "max_output_tokens": {}},
        {"kind": "caps", "max_output_tokens": {"default": 2, "max": 1}},
        {"kind": "caps", "max_output_tokens": {"max": 0}},
        {"kind": "caps", "max_choices": 0},
        {"kind": "caps", "max_tools": -1},
        {"kind": "models"},
        {"kind": "operations"},
        {"kind": "tools"},
        {"kind": "identity"},
        {"kind": "identity", "deny": "10.0.0.300"},
        {"kind": "identity", "allow": []},
        {"kind": "identity", "origins": "https://"},
        {"kind": "language"},
        {"kind": "language", "allow": "latin"},
        {"kind": "language", "deny": "Han", "share": 1},
        {"kind": "vision", "allow": "smell"},
        {"kind": "autoreply", "answers": []},
        {"kind": "autoreply", "answers": [{"text": "x", "reply": ""}]},
        {"kind": "rewrite"},
        {"kind": "rewrite", "system": {}},
        {"kind": "rewrite", "system": {"replace": "a", "prepend": "b"}},
        {"kind": "rewrite", "set": {"messages": []}},
        {"kind": "rewrite", "set": {"Stream": False}},
        {"kind": "rewrite", "set": {"a..b": 1}},
        {"kind": "rewrite", "set": {"a": 1, "a.b": 2}},
        {"kind": "rewrite", "set": {"top_k": 1, "topK": 2}},
        {"kind": "rewrite", "set": {"a": 1}, "remove": "A"},
        {"kind": "rewrite", "remove": "model"},
        {"kind": "reflection", "delimiter": "|"},
        {"kind": "reflection", "delimiter": '"""'},
        {"kind": "reflection", "least": 1},
    ],
)
def test_what_cannot_work_is_refused(config):
    with pytest.raises(pydantic.ValidationError):
        compiled(config)


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "language", "deny": "Klingon"},
        {"kind": "language", "deny": "Lu"},
        {"kind": "language", "allow": "Any"},
        {"kind": "autoreply", "answers": [{"text": "(", "match": "pattern", "reply": "x"}]},
    ],
)
def test_what_re2_refuses_is_refused(config):
    from extproc.policy.pattern import PatternError

    with pytest.raises(PatternError):
        compiled(config)
