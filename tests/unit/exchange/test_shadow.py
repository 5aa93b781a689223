"""The shadow: it says nothing, and its record is the guard's."""

import asyncio
import io
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import events
from extproc.budget import Budget
from extproc.exchange.guarding import GuardExchange
from extproc.exchange.judging import Found
from extproc.exchange.shadow import ShadowExchange
from extproc.policy.attach import Attached, Line
from tests.unit.exchange.support import answer_headers, chat, chat_headers, compiled, sse
from tests.unit.exchange.test_gate import Service
from tests.unit.exchange.test_guarding import CONFIG, chosen
from tests.unit.exchange.test_moderated import policy

REQUESTS = ["hello", "mail ada@example.com", "a forbidden phrase"]
ANSWERS = ["hi there", "mail bob@example.com or eve@example.com", "say a forbidden phrase twice", ""]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    return compiled(CONFIG + "gateway: {max_body: 4KiB}", tmp_path_factory.mktemp("shadow"), {})


def cut(body, sizes):
    """Pieces of these sizes, and the rest; the last one ends."""
    pieces = []
    for size in sizes:
        pieces.append(body[:size])
        body = body[size:]
    return [(each, False) for each in pieces] + [(body, True)]


def silent(effects):
    """Whether nothing is said; a stream of which nothing more is wanted may be closed."""
    return effects in ([], [events.Close()])


def counted(record):
    return record.verdicts, record.outcome, record.end, record.error, record.tokens, record.unscanned, record.status


@given(
    st.sampled_from(REQUESTS),
    st.sampled_from(ANSWERS),
    st.booleans(),
    st.lists(st.integers(0, 40), max_size=6),
    st.lists(st.integers(0, 40), max_size=6),
    st.booleans(),
)
def test_its_record_is_the_guards(guarded, asks, says, streams, cuts, answer_cuts, trailers):
    guard, shadow = GuardExchange(guarded), ShadowExchange(guarded)
    body = chat(asks, stream=streams)
    raw = sse({"content": says}) + sse({}, "stop") + b"data: [DONE]\n\n" if streams else chosen(says)
    media = "text/event-stream" if streams else "application/json"
    guard.receive(chat_headers())
    said = guard.receive(events.RequestBody(body, True))
    assert shadow.receive(chat_headers()) == []
    pieces = cut(body, cuts)
    for piece, end in pieces:
        assert silent(shadow.receive(events.RequestBody(piece, end and not trailers)))
    if trailers:
        assert silent(shadow.receive(events.RequestTrailers(("a",))))
    for one in (guard, shadow):
        if isinstance(said[0], events.ContinueBody) or one is shadow:  # a blocked request has been sent all the same
            one.receive(answer_headers(media))
            for piece, end in cut(raw, answer_cuts):
                effects = one.receive(events.ResponseBody(piece, end))
                assert one is guard or silent(effects)
    assert counted(shadow.finish()) == counted(guard.finish())
    assert shadow.record.mode == "shadow"


def test_a_body_that_is_too_large_is_said(guarded):
    shadow = ShadowExchange(guarded)
    shadow.receive(chat_headers())
    for _ in range(5):
        shadow.receive(events.RequestBody(b"x" * 1024, False))
    shadow.receive(events.RequestBody(b"x", True))
    shadow.receive(answer_headers())
    record = shadow.finish()
    assert (record.end, record.error) == ("refused", "too_large")


def test_what_it_holds_is_counted_and_given_back(guarded):
    budget = Budget(100)
    shadow = ShadowExchange(guarded, budget)
    shadow.receive(chat_headers())
    shadow.receive(events.RequestBody(b"x" * 90, False))
    assert (shadow.held, budget.used) == (90, 90)
    shadow.receive(events.RequestBody(b"x" * 90, False))
    assert budget.used == 0
    assert shadow.finish().error == "overloaded"
    assert budget.used == 0


def test_an_exchange_that_breaks_off_gives_back_what_it_held(guarded):
    budget = Budget(100)
    shadow = ShadowExchange(guarded, budget)
    shadow.receive(chat_headers())
    shadow.receive(events.RequestBody(b"x" * 90, False))
    assert shadow.finish().end == "cut"
    assert budget.used == 0


def test_overload_ends_what_is_being_collected(guarded):
    shadow = ShadowExchange(guarded)
    shadow.receive(chat_headers())
    shadow.receive(events.RequestBody(b"x" * 90, False))
    assert shadow.overloaded() == []
    assert shadow.finish().error == "overloaded"


def moderated(guarded, service):
    attached = Attached({"judge": policy(service)}, [Line(("judge",), lambda traits: True, True)])
    return ShadowExchange(replace(guarded, attached=attached))


@pytest.mark.parametrize("service", [Service("before"), Service("parallel")])
@pytest.mark.parametrize("when", ["at once", "late", "after the end"])
def test_envoy_waits_for_no_service_but_the_record_does(guarded, service, when):
    shadow = moderated(guarded, service)
    shadow.receive(chat_headers())
    shadow.receive(events.RequestBody(chat("are you there"), True))
    (question,) = shadow.questions()

    def judge():
        shadow.told(question, Found(("violence",)))
        assert shadow.due == 0.0
        assert silent(shadow.tick())

    if when == "at once":
        judge()
    shadow.receive(answer_headers())
    shadow.receive(events.ResponseBody(chosen("hi"), False))
    if when == "late":
        judge()
    shadow.receive(events.ResponseBody(b"", True))
    record = shadow.finish()
    if when == "after the end":
        shadow.told(question, Found(("violence",)))
    shadow.add_late()
    assert (record.end, record.error, record.outcome) == ("blocked", "judge", "block")
    assert record.verdicts == [{"policy": "judge", "label": "violence", "outcome": "block", "count": 1}]


def test_what_comes_while_a_service_judges_is_bounded(guarded):
    shadow = moderated(guarded, Service("before"))
    shadow.receive(chat_headers())
    shadow.receive(events.RequestBody(chat("are you there"), True))
    shadow.receive(answer_headers("text/event-stream"))
    for _ in range(10):
        shadow.receive(events.ResponseBody(b"x" * 1024, False))
    assert shadow.held <= 4096
    assert shadow.finish().error == "too_large"


def test_the_service_lets_enforced_policies_of_a_shadow_finish(guarded):
    """Their verdicts come after Envoy has closed the stream."""
    from extproc import wire
    from extproc._pb import ext_proc_pb2 as pb
    from extproc.service import Service as Serving
    from extproc.telemetry import Log

    attached = Attached({"judge": policy(Service("before"))}, [Line(("judge",), lambda traits: True, True)])
    out = io.StringIO()

    async def judge(question):
        await asyncio.sleep(0)
        return Found(("violence",))

    async def scene():
        serving = Serving(lambda: replace(guarded, attached=attached), Log("json", out), judge=judge)
        ticking = asyncio.ensure_future(serving.tick_forever(0.001))
        await asyncio.sleep(0)
        session = serving.open("shadow")
        message = pb.ProcessingRequest()
        for name, value in chat_headers().headers.items():
            header = message.request_headers.headers.headers.add()
            header.key, header.raw_value = name, value.encode()
        assert session.message(message.SerializeToString()).messages == []
        message = pb.ProcessingRequest()
        message.request_body.body, message.request_body.end_of_stream = chat("are you there"), True
        assert session.message(message.SerializeToString()).messages == []
        await asyncio.sleep(0)  # the question has been carried
        session.end()
        while not out.getvalue():
            await asyncio.sleep(0.001)
        ticking.cancel()
        await serving.aclose()
        assert wire  # the messages are those of the wire

    asyncio.run(asyncio.wait_for(scene(), 20))
    (line,) = [orjson.loads(each) for each in out.getvalue().splitlines()]
    assert (line["mode"], line["end"], line["error"]) == ("shadow", "blocked", "judge")


def test_what_is_over_needs_no_stream(guarded):
    shadow = ShadowExchange(guarded)
    assert shadow.receive(chat_headers()) == []
    assert shadow.receive(events.RequestBody(chat("hello"), True)) == []
    assert shadow.receive(answer_headers()) == []
    assert shadow.receive(events.ResponseBody(chosen("hi"), True)) == [events.Close()]
    assert ShadowExchange(guarded).receive(chat_headers(**{":path": "/shirts"})) == [events.Close()]
