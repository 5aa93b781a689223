"""Request rules together: order, precedence, modes, failures, and what goes on to the provider and to the answer."""

import dataclasses
import itertools

import pytest

from extproc.errors import LimitExceeded
from extproc.formats.base import Span
from extproc.framing.jsontext import parse
from extproc.policy.api import Action, Mode, OnError, Outcome, Phase, Policy, Scope, Tally
from extproc.policy.request import Request, Verdict
from extproc.policy.requests import judge
from extproc.policy.words import WordRule

RAW = b'{"model": "m", "n":1}'
EDIT = Verdict("edited", edits={("n",): 2})
BLOCK = Verdict("bad", "It is bad.", param="n")
REPLY = Verdict("said", reply="hello")
RULE = WordRule("secret", ["tell"], "*")


class Says:
    def __init__(self, verdict):
        self.verdict = verdict
        self.seen = None

    def judge(self, request):
        self.seen = request
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def policy(verdict, name="p", **changes):
    values = {"action": Action.BLOCK, "mode": Mode.ENFORCE, "rules": (), **changes}
    return Policy(name, phases=frozenset({Phase.REQUEST}), scopes=frozenset(Scope), request=Says(verdict), **values)


def judged(*policies):
    tally = Tally()
    return judge(policies, Request("chat", "m", parse(RAW)), tally), tally


def test_nothing_to_say():
    decision, tally = judged(policy(None), dataclasses.replace(policy(BLOCK), request=None))
    assert (decision.outcome, decision.policy, decision.edits) == (Outcome.ALLOW, None, [])
    assert decision.apply(RAW) is RAW
    assert not tally.counts


def test_each_sees_what_those_before_left():
    first, second, third = policy(EDIT, "a"), policy(Verdict("l", edits={("m",): 3}, model="o"), "b"), policy(None, "c")
    decision, tally = judged(first, second, third)
    assert second.request.seen.body == {"model": "m", "n": 2}
    assert (third.request.seen.body, third.request.seen.model) == ({"model": "m", "n": 2, "m": 3}, "o")
    assert decision.body == third.request.seen.body
    assert (decision.outcome, decision.policy, decision.model) == (Outcome.REDACT, first, "o")
    assert decision.apply(RAW) == b'{"model": "m", "n":2,"m":3}'
    assert tally.strongest() is Outcome.REDACT


@pytest.mark.parametrize("order", list(itertools.permutations([EDIT, BLOCK, REPLY])))
def test_block_beats_reply_beats_edits_in_any_order(order):
    decision, _ = judged(*(policy(each, each.label) for each in order))
    assert (decision.outcome, decision.policy.name) == (Outcome.BLOCK, "bad")
    assert (decision.why, decision.param, decision.reply) == ("It is bad.", "n", "")
    assert (decision.body, decision.edits, decision.answer) == (parse(RAW), [], ())
    decision, _ = judged(*(policy(each, each.label) for each in order if each is not BLOCK))
    assert (decision.outcome, decision.policy.name, decision.reply) == (Outcome.REPLY, "said", "hello")
    assert decision.edits == []


def test_the_first_that_blocks_is_named():
    decision, tally = judged(policy(BLOCK, "a"), policy(Verdict("other", "No."), "b"))
    assert (decision.policy.name, decision.why) == ("a", "It is bad.")
    assert len(tally.counts) == 2


@pytest.mark.parametrize("changes", [{"mode": Mode.AUDIT}, {"action": Action.AUDIT}])
@pytest.mark.parametrize("verdict", [EDIT, BLOCK, REPLY, Verdict("m", model="other")])
def test_watching_only_counts(changes, verdict):
    last = policy(None)
    decision, tally = judged(policy(verdict, **changes), last)
    assert (decision.outcome, decision.body, decision.edits) == (Outcome.AUDIT, parse(RAW), [])
    assert (decision.model, decision.reply, decision.policy) == ("m", "", None)
    assert last.request.seen.body == parse(RAW)
    assert tally.rows() == [{"policy": "p", "label": verdict.label, "outcome": "audit", "count": 1}]


@pytest.mark.parametrize("verdict", [ValueError("x"), Verdict("x", edits={("n", "deep"): 1})])
def test_failing_blocks_unless_it_is_told_otherwise(verdict):
    decision, tally = judged(policy(verdict))
    assert (decision.outcome, decision.policy.name) == (Outcome.BLOCK, "p")
    assert tally.rows() == [{"policy": "p", "label": "failed", "outcome": "block", "count": 1}]
    decision, tally = judged(policy(verdict, on_error=OnError.ALLOW), policy(EDIT, "next"))
    assert (decision.outcome, decision.edits) == (Outcome.REDACT, [EDIT.edits])
    assert tally.rows()[1] == {"policy": "p", "label": "failed", "outcome": "audit", "count": 1}
    decision, _ = judged(policy(ValueError("x"), mode=Mode.AUDIT))
    assert decision.outcome is Outcome.AUDIT


def test_too_much_to_judge_ends_it_whatever_on_error_says():
    for changes in ({}, {"on_error": OnError.ALLOW}, {"mode": Mode.AUDIT}):
        with pytest.raises(LimitExceeded):
            judged(policy(LimitExceeded("x"), **changes))


def test_rules_for_the_answer_become_policies_of_this_exchange():
    verdict = Verdict("kept", edits={("n",): 5}, rules=(RULE,))
    decision, _ = judged(policy(verdict, answer=Action.REDACT))
    (answer,) = decision.answer
    assert (answer.rules, answer.action, answer.mode) == ((RULE,), Action.REDACT, Mode.ENFORCE)
    assert (answer.phases, answer.request, answer.name) == (frozenset({Phase.RESPONSE}), None, "p")
    decision, _ = judged(policy(Verdict("kept", rules=(RULE,)), mode=Mode.AUDIT))
    assert (decision.outcome, decision.answer[0].mode) == (Outcome.AUDIT, Mode.AUDIT)
    decision, _ = judged(policy(Verdict("kept", rules=(RULE,))))
    assert (decision.outcome, decision.answer[0].action) == (Outcome.REDACT, Action.BLOCK)


def test_spans_are_found_once_and_again_for_a_changed_body():
    calls = []

    def texts(body):
        calls.append(body)
        return [Span(("a",), Scope.USER, "x")]

    request = Request("chat", "m", {"a": "x"}, texts=texts)
    assert request.spans is request.spans
    assert calls == [{"a": "x"}]
    other = request.changed({"a": "y"}, "m")
    assert other.spans
    assert calls == [{"a": "x"}, {"a": "y"}]
    assert Request("chat", "m", {}).spans == ()
    assert request.members is request.members
    assert [each.value for each in other.members] == ["y"]
