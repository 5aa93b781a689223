"""Canned answers."""

import pytest

from extproc.policy.api import Outcome
from tests.unit.policy.kinds.support import ask, said


def answer(body, *, operation="chat", **config):
    answers = [{"reply": "hello", **config}, {"text": "second", "reply": "two"}]
    decision, labels = ask({"kind": "autoreply", "answers": answers}, body, operation=operation)
    assert (decision.outcome is Outcome.REPLY) is (labels == ["answered"]) is bool(decision.reply)
    return decision.reply


@pytest.mark.parametrize(
    "body",
    [
        said("hi"),
        said("other", "hi"),
        said([{"type": "text", "text": "hi"}]),
        said([{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]),
        said([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "hi"}]),
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None}]},
        {"messages": [{"content": "hi"}]},
        {"prompt": "hi"},
        {"prompt": ["other", "hi"]},
        {"input": "hi"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]},
        {"contents": [{"parts": [{"text": "hi"}]}]},
    ],
)
def test_the_users_last_message_in_every_format(body):
    assert answer(body, text="hi") == "hello"
    assert answer(body, text=["x", "hi"]) == "hello"
    assert answer(body, text="Hi") == ""
    assert answer(body, text="Hi!", match="normalised") == "hello"
    assert answer(body, text="^h.$", match="pattern") == "hello"


@pytest.mark.parametrize(
    "body",
    [said("hi", "other"), said("hi "), said(None), said(), {}, {"messages": "x"}, {"messages": [7]},
     {"messages": [{"role": "system", "content": "hi"}]}],
)  # fmt: skip
def test_what_has_no_answer(body):
    assert answer(body, text="hi") == ""


@pytest.mark.parametrize("text", ["what's up", "What’s  up?!", "\tWHAT'S UP...\n", "ｗｈａｔｓ up", "what\u200bs up"])
def test_case_blanks_and_punctuation_may_differ(text):
    assert answer(said(text), text="Whats up?", match="normalised") == "hello"
    assert answer(said("what is up"), text="Whats up?", match="normalised") == ""
    assert answer(said("1+1"), text="11", match="normalised") == ""
    assert answer(said("whats up " * 5000), text="Whats up?", match="normalised") == ""


def test_the_first_that_fits():
    assert answer(said("second"), text="second") == "hello"
    assert answer(said("second"), text="hi") == "two"


def test_the_whole_prompt():
    body = {"messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}]}
    assert answer(body, text="be\nhi", on="prompt") == "hello"
    assert answer(body, text="hi", on="prompt") == ""
    assert answer(body, text="be", match="pattern", on="prompt") == "hello"


def test_operations():
    assert answer(said("hi"), text="hi", operation="models") == "hello"
    decision, _ = ask(
        {"kind": "autoreply", "answers": [{"text": "hi", "reply": "x", "operation": "models"}]}, said("hi")
    )
    assert decision.outcome is Outcome.ALLOW


def test_patterns_are_alternatives_and_signs_in_texts_mean_nothing():
    assert answer(said("xb"), text=["a$|z", "b$"], match="pattern") == "hello"
    assert answer(said("f*ck"), text="f*ck") == "hello"
    assert answer(said("fffck"), text="f*ck") == ""
