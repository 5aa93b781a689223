"""Where the guards of earlier systems failed, one test each."""

import pytest

from extproc.operations import find
from extproc.policy.api import Outcome, Tally
from extproc.policy.request import Request
from extproc.policy.requests import judge
from tests.unit.policy.kinds.support import ask, compiled, refused, said

CAPS = {"kind": "caps", "max_output_tokens": {"max": 100, "over": "reject"}, "max_prompt_chars": 10}


@pytest.mark.parametrize("name", ["max-tokens", "max-prompt-chars", "enforce-user-ids", "request-wordlists"])
@pytest.mark.parametrize("value", ["", "0", "false", "none"])
def test_no_header_switches_a_policy_off(name, value):
    headers = {f"x-usagepanda-{name}": value, f"x-llm-policy-{name}": value, "x-forwarded-for": "10.0.0.1"}
    assert refused(CAPS, said("x", max_tokens=101), headers=headers) == "output_tokens"
    assert refused(CAPS, said("x" * 11, max_tokens=1), headers=headers) == "prompt_chars"
    assert refused({"kind": "identity", "require_user": True}, said("x"), headers=headers) == "no_user"
    assert (
        refused({"kind": "identity", "allow": "10.0.0.0/8"}, said("x"), headers=headers, address="11.0.0.1")
        == "address"
    )


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/proxy/openai", ""])
@pytest.mark.parametrize("query", ["", "?x=1"])
def test_an_operation_is_the_same_by_every_path(prefix, query):
    operation = find("POST", f"{prefix}/chat/completions{query}").operation.value
    assert refused({"kind": "operations", "deny": "chat"}, said("x"), operation=operation) == "denied"


@pytest.mark.parametrize(
    "content", [None, [], "", 0, {}, [None], [{"type": "text"}], [{"text": None}], [[]], {"text": 5}, True], ids=repr
)
@pytest.mark.parametrize(
    "config",
    [CAPS | {"max_images": 0, "max_messages": 1}, {"kind": "autoreply", "answers": [{"text": "a", "reply": "b"}]},
     {"kind": "language", "deny": "Han"}, {"kind": "vision"}, {"kind": "reflection", "scope": "user"},
     {"kind": "rewrite", "system": {"prepend": "x"}}],
)  # fmt: skip
def test_null_empty_and_odd_contents_stop_nothing(config, content):
    assert refused(config, said(content, max_tokens=5)) is None


def test_an_absent_limit_is_no_limit_and_is_refused():
    assert refused(CAPS, said("x")) == "output_tokens"


def test_newer_fields_than_max_tokens_count():
    for field in ("max_completion_tokens", "max_output_tokens"):
        assert refused(CAPS, said("x", max_tokens=5, **{field: 101})) == "output_tokens"


def test_a_canned_answer_is_for_the_whole_text_and_its_own_operation():
    config = {"kind": "autoreply", "answers": [{"text": "hi", "reply": "x", "operation": "chat"}]}
    assert ask(config, said("hi"))[0].outcome is Outcome.REPLY
    assert ask(config, said("hi there"))[0].outcome is Outcome.ALLOW
    assert ask(config, said("hi"), operation="models")[0].outcome is Outcome.ALLOW


def test_a_canned_answer_does_not_pass_a_limit():
    answer = compiled({"kind": "autoreply", "answers": [{"text": "hi", "reply": "x"}]})
    for policies in ([answer, compiled(CAPS)], [compiled(CAPS), answer]):
        assert judge(policies, Request("chat", "m", said("hi")), Tally()).outcome is Outcome.BLOCK


def test_models_are_judged_by_the_name_the_client_gave():
    rewrite = compiled({"kind": "rewrite", "models": {"*": "small"}})
    models = compiled({"kind": "models", "deny": "big"})
    asked = Request("chat", "big", {"model": "big"})
    assert judge([models, rewrite], asked, Tally()).outcome is Outcome.BLOCK
    decision = judge([rewrite, models], asked, Tally())  # the operator chose this order
    assert (decision.outcome, decision.model) == (Outcome.REDACT, "small")


def test_scripts_are_not_sampled():
    text = "a" * 300 + "漢" * 100
    assert {refused({"kind": "language", "deny": "Han"}, said(text)) for _ in range(50)} == {"script"}


def test_origins_are_hosts_not_parts_of_texts():
    config = {"kind": "identity", "origins": "evil.example"}
    assert refused(config, {}, headers={"origin": "https://evil.example"}) == "origin"
    assert refused(config, {}, headers={"referer": "https://ok.example/about/evil.example"}) is None


def test_metacharacters_in_a_protected_span_are_letters():
    decision, _ = ask({"kind": "reflection"}, {"messages": [{"role": "system", "content": "||((( *** [unclosed||"}]})
    assert decision.body["messages"][0]["content"] == "((( *** [unclosed"


def test_a_template_is_filled_once():
    body, _ = ask({"kind": "rewrite", "system": {"append": "{model}"}}, {"model": "{operation}", "messages": []})
    assert body.body["messages"] == [{"role": "system", "content": "{operation}"}]
