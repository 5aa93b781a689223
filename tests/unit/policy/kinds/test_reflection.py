"""Marked spans: found, unmarked, and kept out of the answer."""

import pytest

from extproc.formats.openai_chat import OpenAIChat
from extproc.policy.api import Action, Mode, Outcome, Phase, Scope, Tally
from extproc.policy.chain import Chain
from extproc.policy.request import Request
from extproc.policy.requests import judge
from tests.unit.policy.kinds.support import ask, compiled, refused, said

SECRET = "the launch code is 0451"
LONG = "Never tell anybody that the vault opens at nine. And here is a second sentence that is also long enough. Short."
CONFIG = {"kind": "reflection"}


def system(text, **more):
    return {
        "model": "m",
        "messages": [{"role": "system", "content": text}, {"role": "user", "content": "a || b"}],
        **more,
    }


def answered(config, body, text):
    """What becomes of an answer: outcome, text."""
    request = Request("chat", "m", body, texts=OpenAIChat().request_spans)
    decision = judge([compiled(config)], request, Tally())
    found = Chain(decision.answer).inspect(Phase.RESPONSE, [(Scope.ASSISTANT, text, False)], Tally())
    return found.outcome, found.texts.get(0, text)


def test_delimiters_are_removed_before_sending():
    decision, labels = ask(CONFIG, system(f"You know that ||{SECRET}||. Be kind."))
    assert decision.body["messages"][0]["content"] == f"You know that {SECRET}. Be kind."
    assert decision.body["messages"][1]["content"] == "a || b"
    assert (decision.outcome, labels) == (Outcome.REDACT, ["protected"])


@pytest.mark.parametrize(
    ("config", "outcome", "text"),
    [
        ({}, Outcome.BLOCK, None),
        ({"action": "redact"}, Outcome.REDACT, "Well: [reflection]."),
        ({"action": "redact", "replace": "no"}, Outcome.REDACT, "Well: no."),
        ({"action": "audit"}, Outcome.AUDIT, f"Well: {SECRET.upper()}."),
    ],
)
def test_what_becomes_of_an_answer_that_says_it(config, outcome, text):
    found = answered(CONFIG | config, system(f"||{SECRET}||"), f"Well: {SECRET.upper()}.")
    assert found[0] is outcome
    if text:
        assert found[1] == text
    assert answered(CONFIG | config, system(f"||{SECRET}||"), "Well: nothing.")[0] is Outcome.ALLOW


def test_the_action_on_the_answer_does_not_weaken_that_on_the_request():
    for action in ("audit", "redact", "block"):
        decision, _ = ask(CONFIG | {"action": action}, system(f"||{SECRET}||"))
        assert decision.body["messages"][0]["content"] == SECRET
        assert decision.answer[0].action is Action(action)
        assert refused(CONFIG | {"action": action}, system(f"||{SECRET}")) == "unbalanced"


def test_watching_changes_nothing():
    decision, labels = ask(CONFIG | {"mode": "audit"}, system(f"||{SECRET}||"))
    assert (decision.edits, labels) == ([], ["protected"])
    assert decision.answer[0].mode is Mode.AUDIT


def test_several_spans_in_several_messages():
    body = system("||first secret thing|| and ||second secret thing||")
    body["messages"].append({"role": "developer", "content": [{"type": "text", "text": "||third secret thing||"}]})
    decision, _ = ask(CONFIG, body)
    assert decision.body["messages"][0]["content"] == "first secret thing and second secret thing"
    assert decision.body["messages"][2]["content"][0]["text"] == "third secret thing"
    for name in ("first", "second", "third"):
        assert answered(CONFIG, body, f"x {name} secret thing y")[0] is Outcome.BLOCK


def test_a_part_of_a_long_span_is_found_too():
    for part in (
        "Never tell anybody that the vault opens at nine.",
        "and here is a second sentence that is also long enough.",
    ):
        assert answered(CONFIG, system(f"||{LONG}||"), f"I was told: {part} Ok")[0] is Outcome.BLOCK
    assert answered(CONFIG, system(f"||{LONG}||"), "Short.")[0] is Outcome.ALLOW


@pytest.mark.parametrize("text", ["||", "a||b", "||a||b||", "||||||"])
def test_a_delimiter_without_its_half_is_refused(text):
    assert refused(CONFIG, system(text)) == "unbalanced"
    assert "a||b" not in ask(CONFIG, system(text))[0].why


def test_short_spans_are_unmarked_but_not_protected():
    decision, labels = ask(CONFIG, system("||short|| and |||| and ||  eleven chr   ||"))
    assert decision.body["messages"][0]["content"] == "short and  and   eleven chr   "
    assert (labels, decision.answer) == (["short"], ())
    decision, labels = ask(CONFIG, system(f"||short|| ||{SECRET}||"))
    assert (labels, len(decision.answer)) == (["short"], 1)
    assert ask(CONFIG | {"least": 4}, system("||short||"))[1] == ["protected"]


def test_signs_of_expressions_in_a_span_mean_nothing():
    body = system("||(a+ [b*) c.d \\ $^ {9}||")
    assert answered(CONFIG, body, "so (A+ [b*) c.d \\ $^ {9}!")[0] is Outcome.BLOCK
    assert answered(CONFIG, body, "so aaa b cxd")[0] is Outcome.ALLOW


def test_delimiters_and_scopes_can_be_chosen():
    body = said(f"<<>>{SECRET}<<>> ||x")
    assert ask(CONFIG, body)[0].edits == []
    decision, _ = ask(CONFIG | {"delimiter": "<<>>", "scope": ["user", "system"]}, body)
    assert decision.body["messages"][0]["content"] == f"{SECRET} ||x"


def test_tool_definitions_are_no_prompt():
    tools = [
        {"type": "function", "function": {"name": "f", "description": "a || b", "parameters": {"pattern": "a||b"}}}
    ]
    assert ask(CONFIG, system("x", tools=tools))[0].outcome is Outcome.ALLOW


def test_there_is_a_bound():
    assert refused(CONFIG, system("||" + "x y z " * 600 + "||")) == "too_long"
    assert refused(CONFIG, system("||" + "x y z " * 400 + "||")) is None


def test_the_edges_of_runs_of_signs():
    decision, _ = ask(CONFIG, system("|||" + SECRET + "||"))
    assert decision.body["messages"][0]["content"] == "|" + SECRET
