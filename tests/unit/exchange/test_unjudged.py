"""What must not leave unjudged: ways around the gate, each tried."""

import orjson
import pytest

from extproc import events
from extproc.exchange.gate import Gate
from extproc.exchange.judging import Found, Judging
from extproc.policy.api import Action, Policy, Scope, Style, Tally
from extproc.policy.attach import Traits
from extproc.policy.words import WordRule
from tests.unit.exchange.support import answer_headers, sse
from tests.unit.exchange.test_gate import Service, judge, send
from tests.unit.exchange.test_moderated import ANSWERS, BEFORE, BESIDE, exchange, policy, requested

ANSWER = b'{"choices":[{"index":0,"message":{"content":"hate, then END, then more"}}]}'


def told(one, question, *labels, spans=()):
    one.told(question, Found(labels, spans))
    return one.tick()


def test_a_service_beside_counts_also_where_another_came_before():
    one = exchange(policy(BEFORE), policy(BESIDE))
    requested(one)
    before, beside = one.questions()
    assert [type(each) for each in told(one, before)] == [events.ContinueBody]
    one.receive(answer_headers())
    assert one.receive(events.ResponseBody(ANSWER, True)) == []
    (effect,) = told(one, beside, "hate")
    assert effect.status == 400


def truncating():
    return Policy(
        "stop",
        Action.BLOCK,
        policy(BESIDE).mode,
        frozenset(ANSWERS),
        frozenset(Scope),
        (WordRule("end", ["END"], ""),),
        style=Style.TRUNCATE,
    )


def test_what_is_left_of_a_truncated_answer_is_judged():
    one = exchange(truncating(), policy(Service(window=8), ANSWERS))
    requested(one)
    one.receive(answer_headers())
    assert one.receive(events.ResponseBody(ANSWER, True)) == []
    (question,) = one.questions()
    assert [text for _, text in question.texts] == ["hate, then "]
    (effect,) = told(one, question, "hate")
    assert effect.status == 400


def test_the_beginning_of_the_event_that_a_stream_ends_in_is_judged():
    one = exchange(truncating(), policy(Service(window=8), ANSWERS))
    requested(one, stream=True)
    one.receive(answer_headers("text/event-stream"))
    assert one.receive(events.ResponseBody(sse({"content": "hate, then END, then more"}), False)) == []
    (question,) = one.questions()
    assert [text for _, text in question.texts] == ["hate, then "]
    (effect,) = told(one, question, "hate")
    assert effect.status == 400


def test_a_text_without_a_track_keeps_its_own_scope():
    judging = Judging(Tally())
    gate = Gate(judging, [judge(scopes=frozenset({Scope.ASSISTANT}))], ())
    words = [(None, Scope.REASONING, "hm"), (None, Scope.ASSISTANT, "hate")]
    assert gate.take(send("both"), words, end=True) == []
    (question,) = judging.asked
    assert question.texts == ((Scope.ASSISTANT, "hate"),)


def test_services_are_not_told_originals_however_they_are_cut():
    judging = Judging(Tally())
    gate = Gate(judging, [judge(service=Service(window=100))], (), lambda text: text.replace("jo@x.org", "[email_1]"))
    for piece in ("mail jo", "@x.", "org and jo@x.", "org"):
        gate.take(send(piece), [("k", Scope.ASSISTANT, piece)], end=False)
    gate.take([], [], end=True)
    told = [text for question in judging.asked for _, text in question.texts]
    assert told == ["mail [email_1] and [email_1]"]


REDACT = {"action": Action.REDACT}


def test_what_cannot_be_redacted_in_an_answer_is_blocked():
    one = exchange(policy(Service(window=8), ANSWERS, **REDACT))
    requested(one)
    one.receive(answer_headers())
    one.receive(events.ResponseBody(ANSWER, True))
    (effect,) = told(one, *one.questions(), "hate", spans=(((0, 4, "-"),),))
    assert effect.status == 400


@pytest.mark.parametrize("spans", [(), ((),), (((-5, 3, "-"),),), (((0, 99, "-"),),), (((3, 3, "-"),),)])
def test_what_cannot_be_redacted_in_a_request_is_blocked(spans):
    one = exchange(policy(BEFORE, **REDACT))
    requested(one)
    (effect,) = told(one, *one.questions(), "hate", spans=spans)
    assert effect.status == 400


def test_an_order_to_block_blocks_whatever_the_action():
    one = exchange(policy(BEFORE, **REDACT))
    requested(one)
    (question,) = one.questions()
    one.told(question, Found(("hate",), blocks=True))
    (effect,) = one.tick()
    assert effect.status == 400


def test_nothing_shows_content_by_its_repr():
    one = exchange(policy(BEFORE))
    requested(one)
    (question,) = one.questions()
    found = Found(("hate",), (((0, 3, "are"),),))
    traits = Traits(headers={"authorization": "are you there"}, claims={"sub": "are you there"})
    for each in (question, found, traits, traits.caller(), one._decided, one._judging):
        assert "are" not in repr(each).replace("False", "")


def test_requests_that_wait_for_a_service_count_as_held():
    one = exchange(policy(BEFORE))
    requested(one)
    assert one.held > 50
    (question,) = one.questions()
    told(one, question)
    assert one.held == 0
    assert one._budget.used == 0


def test_a_request_that_a_service_blocked_holds_nothing():
    one = exchange(policy(BEFORE))
    requested(one)
    told(one, *one.questions(), "hate")
    assert one.held == 0
    assert one._budget.used == 0


def test_a_request_that_finds_no_room_to_wait_is_refused():
    from extproc.budget import Budget

    budget = Budget(10)
    one = exchange(policy(BEFORE), budget=budget)
    (effect,) = requested(one)
    assert effect.status == 503
    assert one.questions() == []
    assert budget.used == 0
    assert orjson.loads(effect.body)["error"]["code"] == "overloaded"


def test_what_waits_at_the_gate_is_counted_without_looking_at_all_of_it():
    gate = Gate(Judging(Tally()), [judge()], ())
    for _ in range(3):
        gate.take(send("12"), [("k", Scope.ASSISTANT, "12")], end=False)
    assert gate.held == 6


def held_stream(**more):
    one = exchange(policy(Service(window=8), ANSWERS, **more))
    requested(one, stream=True)
    one.receive(answer_headers("text/event-stream"))
    one.receive(events.ResponseBody(sse({"content": "good words"}), False))
    return one, one.questions()


def test_a_requests_trailers_do_not_wait_at_the_gate():
    one, _ = held_stream()
    assert one.receive(events.RequestTrailers(("x-a",))) == [events.DropTrailers(request=True, names=("x-a",))]


def test_an_answer_that_is_stopped_behind_its_trailers_answers_them():
    one, questions = held_stream()
    assert len(told(one, *questions)) == 2
    one.receive(events.ResponseBody(sse({"content": "hate"}) + b"data: [DONE]\n\n", False))
    assert one.receive(events.ResponseTrailers(("x-b",))) == []
    send_, trailers = told(one, *one.questions(), "hate")
    assert not send_.end
    assert b"hate" not in send_.body
    assert trailers == events.DropTrailers(request=False, names=("x-b",))
    assert one.answered


def test_a_truncated_answer_ends_at_its_first_match():
    one = exchange(truncating())
    requested(one)
    one.receive(answer_headers())
    message = {"reasoning_content": "first END", "content": "second END", "refusal": "third END"}
    effects = one.receive(
        events.ResponseBody(orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}), True)
    )
    (choice,) = orjson.loads(effects[-1].body)["choices"]
    assert choice["message"] == {"reasoning_content": "first ", "content": None, "refusal": None}
    assert choice["finish_reason"] == "content_filter"
