"""Bodies on their way to us count, too: what is not whole yet is held, and a worker holds only so much."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from extproc._pb import ext_proc_pb2 as pb
from extproc.service import Service
from extproc.telemetry import Log
from extproc.transport.call import Call
from extproc.transport.grpc_wire import packed
from tests.unit.exchange import support
from tests.unit.transport.support import ByHand

KIB = 1 << 10


class Recorder:
    """What a stream is told."""

    def __init__(self):
        self.sent, self.trailers = [], None

    def headers(self, block):
        pass

    def send(self, data):
        self.sent.append(pb.ProcessingResponse.FromString(data[5:]))

    def finish(self, trailers):
        self.trailers = trailers

    def want(self, size):
        pass

    def discard(self):
        pass

    def pause(self):
        pass

    def resume(self):
        pass


@pytest.fixture
def service(tmp_path):
    runtime = support.compiled(support.CONFIG + "processor: {max_in_flight: 100KiB}\n", tmp_path)
    return Service(lambda: runtime, Log("json", io.StringIO()))


@pytest.fixture
def begin(service):
    with ThreadPoolExecutor(1) as thread:
        yield lambda: _begun(service, thread)


def _begun(service, thread):
    stream = Recorder()
    call = Call(service, stream, {"x-llm-filter": "router"}, 1 << 20, thread, lambda: None)
    call.received(_headers(), False)
    return call, stream


def _headers():
    message = pb.ProcessingRequest()
    for name, value in support.chat_headers().headers.items():
        message.request_headers.headers.headers.add(key=name, raw_value=value.encode())
    return packed(message.SerializeToString())


def _body(size, body=b""):
    body = body + b" " * (size - len(body))
    return packed(pb.ProcessingRequest(request_body={"body": body, "end_of_stream": True}).SerializeToString())


def test_a_stream_that_would_hold_too_much_is_told_to_come_later(begin, service):
    (first, told), (second, refused) = begin(), begin()
    first.received(_body(90 * KIB)[: 80 * KIB], False)
    assert len(told.sent) == 1
    assert service.held == 80 * KIB
    second.received(_body(90 * KIB)[: 40 * KIB], False)
    answer = refused.sent[1].immediate_response
    assert answer.status.code == 503
    assert {each.header.key: each.header.raw_value for each in answer.headers.set_headers}["retry-after"] == b"1"
    assert refused.trailers is not None
    assert service.held == 80 * KIB  # it gave back what it had


def test_what_was_held_is_given_back_however_a_stream_ends(begin, service):
    for end in ("whole", "gone", "half-closed"):
        call, _ = begin()
        body = _body(50 * KIB)
        call.received(body[:1000], False)
        assert service.held == 1000
        if end == "gone":
            call.gone()
        else:
            call.received(body[1000:] if end == "whole" else b"", end != "whole")
        assert service.held == 0, end


def test_a_stream_that_wants_no_more_is_not_refused(begin, service):
    call, told = begin()
    call.received(_body(90 * KIB)[: 50 * KIB], False)
    service.within_budget(60 * KIB)  # others have the rest, and more
    call.received(b"", False)
    assert len(told.sent) == 1
    assert told.trailers is None


def test_before_its_headers_nobody_is_refused(service):
    stream = Recorder()
    with ThreadPoolExecutor(1) as thread:
        call = Call(service, stream, {"x-llm-filter": "router"}, 1 << 20, thread, lambda: None)
    service.within_budget(101 * KIB)
    call.received(_headers()[:20], False)
    assert stream.sent == []
    call.received(_headers()[20:], False)
    assert stream.sent[0].WhichOneof("response") == "request_headers"
    call.received(_body(10 * KIB)[: 5 * KIB], False)
    assert stream.sent[1].immediate_response.status.code == 503


def test_a_stream_under_inspection_is_not_refused_in_the_middle(tmp_path):
    """The thread has its session: it gets one answer, the one that the inspection led to. Meanwhile all of it counts."""
    runtime = support.compiled(support.CONFIG + "processor: {max_in_flight: 400KiB}\n", tmp_path)
    service = Service(lambda: runtime, Log("json", io.StringIO()))

    async def main():
        thread = ByHand()
        call, told = _begun(service, thread)
        body = _body(300 * KIB, b'{"model": "gpt-4o", "messages": []}')
        call.received(body, False)
        assert service.held == len(body) - 5
        later = _body(200 * KIB)
        call.received(later[: 150 * KIB], False)
        assert service.held == len(body) - 5 + 150 * KIB
        assert len(told.sent) == 1
        await thread.work()
        assert [each.WhichOneof("response") for each in told.sent] == ["request_headers", "immediate_response"]
        assert service.held == 150 * KIB
        call.gone()
        assert service.held == 0

    asyncio.run(main())


def test_what_was_inspected_is_given_back(tmp_path):
    runtime = support.compiled(support.CONFIG, tmp_path)
    service = Service(lambda: runtime, Log("json", io.StringIO()))

    async def main():
        thread = ByHand()
        call, _ = _begun(service, thread)
        body = _body(300 * KIB, b'{"model": "gpt-4o", "messages": []}')
        call.received(body[: 200 * KIB], False)
        call.received(body[200 * KIB :], False)
        assert service.held == len(body) - 5
        await thread.work()
        assert service.held == 0

    asyncio.run(main())
