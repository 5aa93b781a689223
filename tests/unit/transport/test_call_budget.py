"""Bodies on their way to us count, too: what is not whole yet is held, and a worker holds only so much."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from extproc._pb import ext_proc_pb2 as pb
from extproc.service import Service
from extproc.telemetry import Log
from extproc.transport.call import Call
from extproc.transport.grpc_wire import packed
from tests.unit.exchange import support

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
    message = pb.ProcessingRequest()
    for name, value in support.chat_headers().headers.items():
        message.request_headers.headers.headers.add(key=name, raw_value=value.encode())
    call.received(packed(message.SerializeToString()), False)
    return call, stream


def _body(size):
    return packed(pb.ProcessingRequest(request_body={"body": b" " * size, "end_of_stream": True}).SerializeToString())


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
