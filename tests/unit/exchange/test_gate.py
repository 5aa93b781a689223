"""What waits for services: order, windows, lag, and who may hold what."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.events import ContinueResponse, Send
from extproc.exchange.gate import Gate
from extproc.exchange.judging import FAILED, Found, Judging
from extproc.policy.api import Action, Mode, OnError, Phase, Policy, Scope, Tally


@dataclass(frozen=True)
class Service:
    wait: str = "parallel"
    deadline: float = 1.0
    window: int = 10
    lag: int = 0


def judge(name="judge", service=None, phases=Phase, **more):
    fields = {"action": Action.BLOCK, "mode": Mode.ENFORCE, "scopes": frozenset(Scope), "rules": ()} | more
    return Policy(name=name, phases=frozenset(phases), moderation=service or Service(), **fields)


def said(text, key="k"):
    return [(key, Scope.ASSISTANT, text)]


def texts(question):
    return [text for _, text in question.texts]


def send(text):
    return [Send(text.encode(), False)]


def opened(*policies, first=()):
    judging = Judging(Tally())
    return judging, Gate(judging, policies, first)


def ok(judging, *questions):
    for each in questions:
        judging.told(each, Found())
    judging.news()


def test_nothing_leaves_before_its_words_were_judged():
    judging, gate = opened(judge())
    assert gate.take([ContinueResponse(), *send("1234")], said("1234"), end=False) == []
    assert judging.asked == []
    assert gate.waits
    assert not gate.begun
    assert gate.take(send("5678901"), said("5678901"), end=False) == []
    (question,) = judging.asked
    assert texts(question) == ["12345678901"]
    ok(judging, question)
    assert gate.open() == [ContinueResponse(), *send("1234"), *send("5678901")]
    assert gate.begun
    assert not gate.waits


def test_windows_overlap_and_answers_may_come_in_any_order():
    judging, gate = opened(judge())
    gate.take(send("a"), said("0123456789"), end=False)
    gate.take(send("b"), said("abcdefghij"), end=False)
    first, second = judging.asked
    assert texts(second) == ["89abcdefghij"]
    ok(judging, second)
    assert gate.open() == []
    ok(judging, first)
    assert gate.open() == [*send("a"), *send("b")]


def test_the_end_asks_about_what_is_left_and_an_empty_end_waits_for_what_is_before_it():
    judging, gate = opened(judge())
    assert gate.take(send("a"), said("abc"), end=False) == []
    assert gate.take([Send(b"", True)], [], end=True) == []
    (question,) = judging.asked
    ok(judging, question)
    assert gate.open() == [*send("a"), Send(b"", True)]


def test_an_answer_without_words_passes():
    judging, gate = opened(judge())
    assert gate.take([ContinueResponse(), Send(b"{}", True)], [], end=True) == [ContinueResponse(), Send(b"{}", True)]
    assert judging.asked == []


def test_blank_words_are_no_question():
    judging, gate = opened(judge())
    assert gate.take(send(" "), said(" \n"), end=True) == send(" ")
    assert judging.asked == []


def test_choices_are_judged_apart():
    judging, gate = opened(judge())
    gate.take(send("x"), [*said("kill", "a"), *said("bake a cake", "b"), *said(" time", "a")], end=False)
    (question,) = judging.asked
    assert sorted(texts(question)) == ["bake a cake", "kill time"]


def test_lag_lets_so_many_characters_leave_unjudged():
    judging, gate = opened(judge(service=Service(window=4, lag=6)))
    assert gate.take(send("1"), said("1234"), end=False) == send("1")
    assert gate.take(send("2"), said("56"), end=False) == send("2")
    assert gate.take(send("3"), said("7"), end=False) == []
    ok(judging, *judging.asked)
    assert gate.open() == send("3")


def test_what_only_watches_holds_nothing():
    judging, gate = opened(judge(mode=Mode.AUDIT))
    assert gate.take(send("1"), said("123456789012"), end=False) == send("1")
    assert len(judging.asked) == 1


def test_the_request_is_judged_first():
    judging = Judging(Tally())
    policy = judge(phases=[Phase.REQUEST])
    first = judging.ask([policy], Phase.REQUEST, [(Scope.USER, "hello")])
    gate = Gate(judging, [policy], first)
    assert not gate.listens
    assert gate.take(send("a"), [], end=False) == []
    ok(judging, *first)
    assert gate.open() == send("a")


@pytest.mark.parametrize(
    ("more", "found", "blocked", "refused"),
    [
        ({}, Found(("violence",)), True, False),
        ({}, Found(), False, False),
        ({}, Found(failed=True), False, True),
        ({"on_error": OnError.ALLOW}, Found(failed=True), False, False),
        ({"mode": Mode.AUDIT}, Found(failed=True), False, False),
        ({"mode": Mode.AUDIT}, Found(("violence",)), False, False),
        ({"action": Action.AUDIT}, Found(("violence",)), False, False),
    ],
)
def test_what_an_answer_comes_to(more, found, blocked, refused):
    judging = Judging(Tally())
    (question,) = judging.ask([judge(**more)], Phase.REQUEST, [(Scope.USER, "hello")])
    judging.told(question, found)
    judging.news()
    assert (judging.blocked is not None, judging.refused is not None) == (blocked, refused)
    labels = {label for _, label, _ in judging.tally.counts}
    assert labels == set(found.labels) | ({FAILED} if found.failed else set())


def test_only_texts_in_scope_are_asked_about():
    judging = Judging(Tally())
    judging.ask([judge(scopes=frozenset({Scope.USER}))], Phase.REQUEST, [(Scope.SYSTEM, "a"), (Scope.USER, "b")])
    assert [texts(each) for each in judging.asked] == [["b"]]


@given(st.lists(st.text("abcd ", min_size=1, max_size=9), max_size=12), st.randoms(use_true_random=False))
def test_whatever_the_pieces_all_is_judged_and_leaves_in_order(pieces, random):
    judging, gate = opened(judge(service=Service(window=7)))
    out = []
    judged = 0
    for index, piece in enumerate(pieces):
        out += gate.take(send(str(index)), said(piece), end=index == len(pieces) - 1)
        while judging.asked and random.random() < 0.5:
            question = judging.asked.pop(random.randrange(len(judging.asked)))
            judged += 1
            judging.told(question, Found())
            judging.news()
            out += gate.open()
    for question in judging.asked:
        judging.told(question, Found())
    judging.news()
    out += gate.open()
    assert out == [each for index in range(len(pieces)) for each in send(str(index))]


def test_bytes_that_wait_are_counted_until_they_leave():
    judging, gate = opened(judge(service=Service(window=4)))
    assert gate.take(send("abcd"), said("abcd"), end=False) == []
    assert gate.take(send("ef"), said("ef"), end=False) == []
    assert gate.held == 6
    ok(judging, *judging.asked)
    assert len(gate.open()) == 1
    assert gate.held == 2
