"""One call against a service of the test's own: every way it can end, none of them clean before it is answered."""

import asyncio

import pytest

from extproc.transport import grpc_wire
from extproc.transport.grpc_wire import packed
from extproc.transport.http2 import frames
from tests.unit.transport.http2.support import credits_of, data, headers
from tests.unit.transport.support import LARGE, ROUTER, Calls

INTERNAL = (grpc_wire.INTERNAL, "llm-extproc: internal error")
UNFINISHED = (grpc_wire.CANCELLED, "llm-extproc: unfinished")


def ended(answer):
    return answer.status, answer.text


def opened(**settings):
    calls = Calls(**settings)
    calls.open()
    return calls


# without a thread


def test_messages_are_answered_in_order():
    calls = opened()
    assert calls.send(b"a", b"bc").messages == [b"1", b"2"]
    answer = calls.send(b"last", end=True)
    assert (answer.messages, ended(answer), answer.reset) == ([b"4"], (0, ""), [])
    assert calls.session.ends == 1


@pytest.mark.parametrize("size", [1, 2, 7])
def test_messages_in_pieces(size):
    calls = opened()
    payload = packed(b"a") + packed(b"bc") + packed(b"last")
    frames_ = [data(1, payload[at : at + size]) for at in range(0, len(payload), size)]
    calls.server.say(*frames_)
    assert calls.session.messages == [b"a", b"bc", b"last"]
    assert calls.session.ends == 0


@pytest.mark.parametrize("messages", [[], [b"a"], [b"a", b"b"]])
def test_a_peer_that_hangs_up_before_the_answer(messages):
    calls = opened()
    assert ended(calls.send(*messages, end=True)) == UNFINISHED
    assert calls.session.ends == 1


def test_a_request_that_is_nothing_but_its_headers():
    calls = Calls()
    assert ended(calls.open(end=True)) == UNFINISHED
    assert calls.session.ends == 1


def test_a_message_cut_short_by_the_end():
    calls = opened()
    answer = calls.server.say(data(1, packed(b"abc")[:-1], end=True))
    assert answer[-1].flags & frames.END_STREAM
    assert (calls.session.messages, calls.session.ends) == ([], 1)


def test_the_legal_early_close():
    calls = opened()
    answer = calls.send(b"close")
    assert (ended(answer), answer.reset) == ((0, ""), [frames.NO_ERROR])
    assert calls.session.ends == 1


def test_an_early_close_that_is_not_legal():
    calls = opened()
    assert ended(calls.send(b"early")) == UNFINISHED


def test_nothing_is_inspected_after_the_end():
    calls = opened()
    calls.send(b"close", b"x")
    calls.send(b"y")
    assert calls.session.messages == [b"close"]


@pytest.mark.parametrize(
    ("message", "text"), [(b"fail", "llm-extproc: protocol error"), (b"explode", "llm-extproc: internal error")]
)
def test_a_session_that_fails(message, text):
    calls = opened()
    calls.open(3)
    answer = calls.send(b"a", b"last", message, b"never")
    assert ended(answer) == (grpc_wire.INTERNAL, text)
    assert answer.messages == [b"1", b"4"]
    assert calls.service.sessions[0].ends == 1
    assert calls.send(b"a", number=3).messages == [b"1"]
    assert calls.service.faults == ([("internal", {"where": "KeyError"})] if message == b"explode" else [])


def test_a_service_that_cannot_open():
    calls = opened()
    calls.service.open_explodes = True
    assert ended(calls.open(3)) == INTERNAL
    assert calls.send(b"a").messages == [b"1"]


@pytest.mark.parametrize("pairs", [ROUTER[:2], [*ROUTER[:2], ("x-llm-filter", "other")]])
def test_an_unknown_filter(pairs):
    assert ended(Calls().open(pairs=pairs)) == (grpc_wire.INTERNAL, "llm-extproc: unknown filter")


@pytest.mark.parametrize("ending", [b"close", b"fail", b"explode", b"early"])
def test_a_session_that_cannot_end(ending):
    """Its record is lost with it: not a clean end, whatever it was."""
    calls = opened()
    calls.open(3)
    calls.service.end_explodes = True
    assert ended(calls.send(ending)) == INTERNAL
    assert calls.service.sessions[0].ends == 1
    assert calls.service.faults
    assert calls.send(b"a", number=3).messages == [b"1"]
    calls.server.say(frames.reset(3, 8))
    assert not calls.server.failed


def test_a_log_that_cannot_be_written(monkeypatch):
    def explode(*_, **__):
        raise BrokenPipeError

    calls = opened()
    calls.open(3)
    calls.service.fault = explode
    calls.service.end_explodes = True
    assert ended(calls.send(b"explode")) == INTERNAL
    calls.server.connection.lost()
    assert [each.ends for each in calls.service.sessions] == [1, 1]


def test_a_reset_ends_the_session():
    calls = opened()
    calls.send(b"a")
    calls.server.say(frames.reset(1, 8))
    calls.server.connection.lost()
    assert calls.session.ends == 1


def test_a_lost_connection_ends_every_session():
    calls = opened()
    calls.open(3)
    calls.service.end_explodes = True
    calls.server.connection.lost()
    assert [each.ends for each in calls.service.sessions] == [1, 1]


def test_a_reset_while_the_end_still_waits():
    calls = opened(initial_window_size=3)
    assert calls.send(b"a", b"last", end=True).status is None
    calls.server.say(frames.reset(1, 8))
    assert calls.session.ends == 1


def test_an_error_overtakes_what_waits():
    calls = opened(initial_window_size=0)
    calls.send(b"a")
    answer = calls.send(b"fail")
    assert (answer.messages, answer.status) == ([], grpc_wire.INTERNAL)


def test_a_clean_end_does_not():
    calls = opened(initial_window_size=0)
    assert calls.send(b"a", b"close").status is None
    answer = calls.server.say(frames.credit(1, 100))
    assert [each.kind for each in answer] == [frames.DATA, frames.HEADERS, frames.RST_STREAM]


@pytest.mark.parametrize("bad", [b"\1\0\0\0\1x", packed(bytes(2 << 20))[:5]])
def test_a_bad_message(bad):
    calls = opened()
    answer = calls.server.say(data(1, bad))
    assert [each.kind for each in answer] == [frames.HEADERS, frames.RST_STREAM]
    assert calls.session.ends == 1


def test_a_session_may_speak_unasked():
    calls = opened()
    calls.service.wakes[0]()
    assert calls.flushes == 1
    assert calls.sent().messages == [b"tick"]
    calls.send(b"close")
    calls.service.wakes[0]()
    assert calls.sent().messages == []


@pytest.mark.parametrize("error", [KeyError("MARKER"), None])
def test_a_tick_that_fails_ends_its_stream_alone(error):
    def explode():
        raise error

    calls = opened()
    if error:
        calls.session.tick = explode
    else:
        calls.session.tick = lambda: calls.session.message(b"fail")
    calls.service.wakes[0]()
    answer = calls.sent()
    assert answer.status == grpc_wire.INTERNAL
    assert calls.flushes == 1
    assert calls.session.ends == 1
    assert not calls.server.failed


# with one


def in_loop(test):
    def run():
        asyncio.run(asyncio.wait_for(test(), 20))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@in_loop
async def test_a_large_text_does_not_stop_others():
    calls = opened()
    calls.open(3)
    assert calls.send(LARGE, b"next").messages == []
    assert calls.send(b"a", number=3).messages == [b"1"]
    assert calls.send(b"more").messages == []
    assert calls.service.sessions[0].messages == []
    await calls.thread.work()
    assert calls.sent().messages == [b"262144", b"4", b"4"]
    assert calls.flushes == 1


@in_loop
async def test_no_credit_while_a_large_text_is_inspected():
    calls = opened()
    calls.send(LARGE)
    assert credits_of(calls.server.say(*[data(1, bytes(5))] * 2000)) == []
    assert calls.service.sessions[0].messages == []
    await calls.thread.work()
    assert len(credits_of(calls.server.sent())) == 1
    assert len(calls.session.messages) == 2001


@in_loop
async def test_what_is_held_counts_as_large():
    calls = opened()
    calls.session.held = len(LARGE)
    assert calls.send(b"a").messages == []
    await calls.thread.work()
    assert calls.sent().messages == [b"1"]


@in_loop
async def test_the_end_waits_for_a_large_text():
    calls = opened()
    assert calls.send(LARGE, b"last", end=True).status is None
    assert calls.session.ends == 0
    await calls.thread.work()
    answer = calls.sent()
    assert (answer.messages, answer.status) == ([b"262144", b"4"], 0)
    assert calls.session.ends == 1


@in_loop
async def test_the_end_after_a_large_text_is_not_clean_unless_answered():
    calls = opened()
    calls.send(LARGE, end=True)
    await calls.thread.work()
    assert ended(calls.sent()) == UNFINISHED


@pytest.mark.parametrize("how", ["reset", "lost", "deadline"])
def test_a_stream_that_ends_under_an_inspection(how):
    async def test():
        calls = opened()
        calls.send(LARGE, b"next")
        if how == "deadline":
            calls.calls[0].end_within(0)
            await asyncio.sleep(0.05)
            assert calls.sent().status == grpc_wire.DEADLINE_EXCEEDED
        elif how == "reset":
            calls.server.say(frames.reset(1, 8))
        else:
            calls.server.connection.lost()
        assert calls.session.ends == 0  # not under the thread
        await calls.thread.work()
        assert calls.session.ends == 1
        assert len(calls.session.messages) == 1
        assert calls.server.sent() == []

    asyncio.run(test())


@pytest.mark.parametrize("error", ["StreamFailed", "KeyError", "end"])
def test_an_inspection_that_fails(error):
    async def test():
        calls = opened()
        calls.open(3)
        session = calls.service.sessions[0]
        meant = b"fail" if error == "StreamFailed" else b"explode"
        inner = session.message
        session.message = lambda message: inner(meant)
        calls.service.end_explodes = error == "end"
        calls.send(LARGE, b"next")
        await calls.thread.work()
        text = "protocol" if error == "StreamFailed" else "internal"
        assert ended(calls.sent()) == (grpc_wire.INTERNAL, f"llm-extproc: {text} error")
        assert session.ends == 1
        assert session.messages == [meant]
        assert calls.send(b"a", number=3).messages == [b"1"]

    asyncio.run(test())


@in_loop
async def test_an_inspection_that_is_cancelled():
    calls = opened()
    calls.send(LARGE)
    await calls.thread.cancel()
    assert ended(calls.sent()) == INTERNAL
    assert calls.session.ends == 1


@in_loop
async def test_a_thread_that_takes_no_more():
    calls = opened()
    calls.thread.closed = True
    assert ended(calls.send(LARGE)) == INTERNAL
    assert calls.session.ends == 1


@in_loop
async def test_a_session_is_not_woken_under_an_inspection():
    calls = opened()
    calls.send(LARGE)
    calls.service.wakes[0]()
    assert calls.sent().messages == []
    await calls.thread.work()
    assert calls.sent().messages == [b"262144"]


@in_loop
async def test_a_deadline():
    calls = opened()
    calls.open(3)
    calls.calls[0].end_within(0.01)
    calls.calls[1].end_within(0.01)
    assert calls.send(b"close", number=3).status == 0
    await asyncio.sleep(0.1)
    answer = calls.sent()
    assert ended(answer) == (grpc_wire.DEADLINE_EXCEEDED, "llm-extproc: the caller's deadline has passed")
    assert [each.ends for each in calls.service.sessions] == [1, 1]
    assert calls.flushes == 1


@in_loop
async def test_a_stream_begun_with_a_whole_large_request():
    calls = Calls()
    calls.server.say(headers(1, pairs=ROUTER))
    calls.send(LARGE, end=True)
    calls.server.connection.lost()
    await calls.thread.work()
    assert calls.session.ends == 1
