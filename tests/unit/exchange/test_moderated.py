"""An exchange whose policies ask services: before the call, beside it, and about the answer."""

import orjson
import pytest

from extproc import events
from extproc.exchange.judging import Found
from extproc.exchange.router import RouterExchange
from extproc.exchange.state import State
from extproc.policy.api import Action, Mode, OnError, Phase, Policy, Scope
from extproc.policy.attach import Attached, Line
from tests.unit.exchange.support import answer_headers, chat, chat_headers, headers_of, runtime, sse
from tests.unit.exchange.test_gate import Service


def policy(service, phases=(Phase.REQUEST,), **more):
    fields = {"action": Action.BLOCK, "mode": Mode.ENFORCE, "scopes": frozenset(Scope), "rules": ()} | more
    return Policy(name="judge", phases=frozenset(phases), moderation=service, **fields)


def exchange(*policies, **more):
    from dataclasses import replace

    by_name = {f"{index}": each for index, each in enumerate(policies)}
    attached = Attached(by_name, [Line(tuple(by_name), lambda traits: True, True)])
    return RouterExchange(replace(runtime(), attached=attached), **more)


def requested(one, **options):
    one.receive(chat_headers())
    return one.receive(events.RequestBody(chat("are you there", **options), True))


def answer(one, *found, failed=False):
    """Answer the open questions, one after the other; what the exchange says then."""
    said = []
    for each in one.questions():
        one.told(each, Found(found, failed=failed))
        assert one.due == 0.0
        said += one.tick()
    return said


BEFORE = Service("before")
BESIDE = Service("parallel")


def test_before_the_request_waits_and_goes_on():
    one = exchange(policy(BEFORE))
    assert requested(one) == []
    assert not one.answered
    (effect,) = answer(one)
    assert isinstance(effect, events.ContinueBody)


@pytest.mark.parametrize("service", [BEFORE, BESIDE])
def test_what_is_found_blocks(service):
    one = exchange(policy(service))
    requested(one)
    said = answer(one, "violence") or one.receive(answer_headers())
    (effect,) = said
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (400, "judge")
    assert one.finish().verdicts == [{"policy": "judge", "label": "violence", "outcome": "block", "count": 1}]


@pytest.mark.parametrize("service", [BEFORE, BESIDE])
@pytest.mark.parametrize(("on_error", "status"), [(OnError.BLOCK, 503), (OnError.ALLOW, None)])
def test_a_service_that_fails_counts_as_configured(service, on_error, status):
    one = exchange(policy(service, on_error=on_error))
    requested(one)
    said = answer(one, failed=True) or one.receive(answer_headers())
    assert [getattr(each, "status", None) for each in said] == ([status] if status else [None] * len(said))
    assert (one.finish().error == "undecided") == (status == 503)


def test_several_before_all_have_to_answer():
    one = exchange(policy(BEFORE), policy(BEFORE))
    assert requested(one) == []
    first, second = one.questions()
    one.told(second, Found())
    assert one.tick() == []
    one.told(first, Found())
    (effect,) = one.tick()
    assert isinstance(effect, events.ContinueBody)


def test_a_local_reply_while_it_waits_is_told():
    one = exchange(policy(BEFORE))
    requested(one)
    (effect,) = one.receive(answer_headers(status=504, details="message_timeout"))
    assert effect.status == 504


def test_beside_the_answer_is_held_until_the_verdict():
    one = exchange(policy(BESIDE))
    (effect,) = requested(one, stream=True)
    assert isinstance(effect, events.ContinueBody)
    assert one.receive(answer_headers("text/event-stream")) == []
    assert one.receive(events.ResponseBody(sse({"content": "here. "}), False)) == []
    assert one.held
    assert one.receive(events.ResponseBody(b"data: [DONE]\n\n", True)) == []
    assert not one.answered
    effects = answer(one)
    assert [type(each) for each in effects] == [events.ContinueResponse, events.Send, events.Send]
    assert effects[-1].end
    assert one.answered
    assert one.finish().end == "complete"


def test_beside_a_late_verdict_replaces_the_answer():
    one = exchange(policy(BESIDE))
    requested(one)
    one.receive(answer_headers())
    one.receive(events.ResponseBody(b'{"choices":[{"message":{"content":"x"}}]}', True))
    (effect,) = answer(one, "hate")
    assert effect.status == 400
    assert one.answered
    assert one.finish().end == "blocked"


def test_beside_an_early_verdict_costs_nothing():
    one = exchange(policy(BESIDE))
    requested(one)
    assert answer(one) == []
    one.receive(answer_headers())
    assert len(one.receive(events.ResponseBody(b'{"choices":[{"message":{"content":"x"}}]}', True))) == 2


ANSWERS = (Phase.RESPONSE,)


def streaming(**more):
    one = exchange(policy(Service(window=8), ANSWERS, **more))
    requested(one, stream=True)
    one.receive(answer_headers("text/event-stream"))
    return one


def test_a_streamed_answer_leaves_window_by_window():
    one = streaming()
    assert one.receive(events.ResponseBody(sse({"content": "abcdefgh"}), False)) == []
    first = answer(one)
    assert [type(each) for each in first] == [events.ContinueResponse, events.Send]
    assert one.receive(events.ResponseBody(sse({"content": "ijk"}), False)) == []
    assert one.receive(events.ResponseBody(b"data: [DONE]\n\n", True)) == []
    last = answer(one)
    assert last[-1].end
    assert last[-1].metadata["llm.extproc.verdicts"]["outcome"] == "allow"


def test_a_block_in_the_middle_ends_the_stream_and_what_waited_is_dropped():
    one = streaming()
    one.receive(events.ResponseBody(sse({"content": "abcdefgh"}), False))
    answer(one)
    one.receive(events.ResponseBody(sse({"content": "SECOND-WINDOW"}), False))
    (effect,) = answer(one, "hate")
    assert effect.end
    assert b"SECOND" not in effect.body
    assert b'"code":"judge"' in effect.body
    assert effect.metadata["llm.extproc.verdicts"]["blocked_by"] == "judge"
    assert one.receive(events.ResponseBody(sse({"content": "more"}), False)) == []
    assert one.finish().end == "blocked"


def test_a_block_before_the_first_window_is_a_status():
    one = streaming()
    one.receive(events.ResponseBody(sse({"content": "abcdefgh"}), False))
    (effect,) = answer(one, "hate")
    assert effect.status == 400


def test_a_block_of_the_end_of_a_stream_that_is_over():
    one = streaming()
    one.receive(events.ResponseBody(sse({"content": "abcdefgh"}), False))
    answer(one)
    assert one.receive(events.ResponseBody(sse({"content": "END"}) + b"data: [DONE]\n\n", True)) == []
    (effect,) = answer(one, "hate")
    assert effect.end
    assert b"END" not in effect.body
    assert effect.body.count(b"[DONE]") == 1


def test_a_client_is_kept_alive_also_when_the_provider_is_done():
    now = [0.0]
    one = exchange(policy(Service(window=8), ANSWERS), clock=lambda: now[0])
    requested(one, stream=True)
    one.receive(answer_headers("text/event-stream"))
    one.receive(events.ResponseBody(sse({"content": "abcdefgh"}), False))
    answer(one)
    assert one.receive(events.ResponseBody(sse({"content": "END"}) + b"data: [DONE]\n\n", True)) == []
    now[0] = one.due
    assert one.tick() == [events.Send(b": keep-alive\n\n", False)]
    now[0] = 10_000.0  # no stall: nothing more is expected of the provider
    assert one.tick() == [events.Send(b": keep-alive\n\n", False)]
    assert answer(one)[-1].end
    assert one.due is None


def test_a_whole_answer_is_judged():
    one = exchange(policy(BESIDE, ANSWERS))
    requested(one)
    one.receive(answer_headers())
    body = b'{"choices":[{"message":{"role":"assistant","content":"x y"}}]}'
    assert one.receive(events.ResponseBody(body, True)) == []
    headers, send = answer(one)
    assert send.body == body
    assert headers_of(headers)["x-llm-policies"] == "judge"


def test_the_state_of_waiting_is_one_of_the_table():
    one = exchange(policy(BEFORE))
    requested(one)
    assert one._state is State.JUDGED


def test_what_a_service_marks_is_redacted_before_it_leaves():
    one = exchange(policy(BEFORE, action=Action.REDACT))
    one.receive(chat_headers())
    assert one.receive(events.RequestBody(chat("call John Smith or Mary"), True)) == []
    (question,) = one.questions()
    one.told(question, Found(("PERSON",), (((19, 23, "<PERSON>"), (5, 15, "<PERSON>"), (10, 15, "<NAME>")),)))
    (effect,) = one.tick()
    assert b'"call <PERSON> or <PERSON>"' in effect.body


def test_what_several_services_mark_is_redacted_at_once():
    one = exchange(policy(BEFORE, action=Action.REDACT), policy(BEFORE, action=Action.REDACT))
    one.receive(chat_headers())
    one.receive(events.RequestBody(chat("mail jane@x.io or call 555-1234 now"), True))
    first, second = one.questions()
    one.told(first, Found(("MAIL",), (((5, 14, "[a longer replacement]"),),)))
    assert one.tick() == []
    one.told(second, Found(("PHONE",), (((23, 31, "[phone]"), (10, 16, "[x]")),)))
    (effect,) = one.tick()
    assert b'"mail [a longer replacement]r call [phone] now"' in effect.body


def test_an_exchange_that_is_over_hears_nothing():
    one = exchange(policy(BEFORE))
    requested(one)
    (question,) = one.questions()
    one.finish()
    one.told(question, Found(("hate",)))
    assert one.questions() == []
