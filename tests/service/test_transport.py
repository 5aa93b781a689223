"""The gRPC service as Envoy meets it, over a Unix socket, driven by a gRPC client of our own. No Envoy."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc._pb import ext_proc_pb2 as pb
from extproc.errors import StartupError
from extproc.exchange.forward import DECISION
from extproc.exchange.planning import Wanted
from extproc.exchange.upstream import BACKEND
from extproc.transport.sockets import bound
from extproc.wire import SERVICE
from tests.service.support import (
    ANSWER,
    MAX_BODY,
    SECRET,
    Call,
    Server,
    decided,
    headers,
    request_body,
    request_headers,
    response_body,
    response_headers,
    trailers,
)

# the tests


def test_a_whole_exchange(server: Server, channel: grpc.Channel) -> None:
    call = Call(channel)
    opening = request_headers(authorization="Bearer client-MARKERKEY", cookie="c")
    assert call.ask(opening).request_headers.response.header_mutation.ByteSize() == 0
    answer = call.ask(request_body(f"I am {SECRET}"))
    common = answer.request_body.response
    assert json.loads(common.body_mutation.body)["messages"][0]["content"] == "I am [email]"
    assert common.clear_route_cache
    assert "cookie" in common.header_mutation.remove_headers
    told = {each.header.key: each.header.raw_value for each in common.header_mutation.set_headers}
    assert told["authorization"] == b"Bearer sk-MARKERKEY0123456789"
    assert dict(answer.dynamic_metadata[DECISION]) == {"group": server.runtime.group("gpt-4o").slug}
    call.send(response_headers())
    call.send(response_body(ANSWER[:20], end=False))
    call.send(response_body(ANSWER[20:]))
    first, second = call.next(), call.next()
    assert first.WhichOneof("response") == "response_headers"
    assert second.response_body.response.body_mutation.streamed_response.end_of_stream
    assert b"[email]" in second.response_body.response.body_mutation.streamed_response.body
    call.half_close()
    assert call.end() == (grpc.StatusCode.OK, "")
    request_id = opening.request_headers.headers.headers[-3].raw_value.decode()
    assert server.wait_for(request_id=request_id)["end"] == "complete"
    assert "MARKERKEY" not in server.out.getvalue()
    assert SECRET not in server.out.getvalue()


def test_an_upstream_attempt_is_closed_cleanly(server: Server, channel: grpc.Channel) -> None:
    call = Call(channel, "upstream")
    message = headers("request_headers", {":method": "POST", ":path": "/x", "authorization": "Bearer other"})
    message.metadata_context.filter_metadata[DECISION].update(
        {
            "group": "0",
            "length": 12,
            "media": "application/json",
            **Wanted("chat", "openai-chat", "gpt-4o", stream=False).told(),
        }
    )
    message.attributes["envoy.filters.http.ext_proc"].update(
        {BACKEND: next(key for key in server.runtime.backends if key.startswith("alpha@"))}
    )
    answer = call.ask(message)
    found = {
        each.header.key: each.header.raw_value for each in answer.request_headers.response.header_mutation.set_headers
    }
    assert found == {
        ":path": b"/v1/chat/completions",
        ":authority": b"127.0.0.1:1",
        "user-agent": b"llm-extproc",
        "authorization": b"Bearer sk-MARKERKEY0123456789",
        "content-length": b"12",
        "content-type": b"application/json",
    }
    assert call.end() == (grpc.StatusCode.OK, "")


def test_an_attempt_without_a_decision_fails(channel: grpc.Channel) -> None:
    call = Call(channel, "upstream")
    call.send(request_headers())
    assert call.end() == (grpc.StatusCode.INTERNAL, "llm-extproc: protocol error")


@pytest.mark.parametrize("which", [None, "", "Router", "other", "upstream,router"])
def test_unknown_filters(channel: grpc.Channel, which: str | None) -> None:
    call = Call(channel, which)
    call.send(request_headers())
    assert call.end() == (grpc.StatusCode.INTERNAL, "llm-extproc: unknown filter")


@pytest.mark.parametrize("which", ["router", "upstream"])
@pytest.mark.parametrize("garbage", [b"", b"\xff\xff\xff", b"not protobuf at all MARKER", b"\x12\x05ab", b"\x50\x01"])
def test_garbage(server: Server, channel: grpc.Channel, which: str, garbage: bytes) -> None:
    call = Call(channel, which)
    call.send(garbage)
    assert call.end() == (grpc.StatusCode.INTERNAL, "llm-extproc: protocol error")
    assert "MARKER at" not in server.out.getvalue()


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b""])
def test_garbage_in_the_middle(channel: grpc.Channel, garbage: bytes) -> None:
    call = decided(channel)
    call.send(garbage)
    assert call.end() == (grpc.StatusCode.INTERNAL, "llm-extproc: protocol error")


OUT_OF_ORDER = {
    "body first": [request_body()],
    "request trailers first": [trailers("request_trailers")],
    "response body first": [response_body(b"x")],
    "response trailers first": [trailers("response_trailers")],
    "headers twice": [request_headers(), request_headers()],
    "response body before its headers": [request_headers(), request_body(), response_body(b"x")],
    "response trailers before headers": [request_headers(), request_body(), trailers("response_trailers")],
    "response headers twice": [request_headers(), request_body(), response_headers(), response_headers()],
    "request headers after the answer began": [
        request_headers(),
        request_body(),
        response_headers(),
        request_headers(),
    ],
}


@pytest.mark.parametrize("messages", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER)
def test_out_of_order(server: Server, channel: grpc.Channel, messages: list[pb.ProcessingRequest]) -> None:
    call = Call(channel)
    for each in messages:
        call.send(each)
    answers = 0
    try:
        for _ in call.call:
            answers += 1
    except grpc.RpcError:
        pass
    assert answers < len(messages)
    assert (call.call.code(), call.call.details()) == (grpc.StatusCode.INTERNAL, "llm-extproc: protocol error")
    call.half_close()
    notice = server.wait_for(event="protocol-error")
    assert set(notice) == {"time", "event", "message", "what"}


def test_an_exception_ends_as_an_error_without_its_text(
    server: Server, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong inside: constant words on the wire, the place but not the text in the log."""

    def explode(*_: object) -> object:
        raise KeyError("MARKERCONTENT")

    monkeypatch.setattr("extproc.exchange.router.RouterExchange._request_body", explode)
    call = Call(channel)
    call.ask(request_headers())
    call.send(request_body())
    assert call.end() == (grpc.StatusCode.INTERNAL, "llm-extproc: internal error")
    notice = server.wait_for(event="internal-error")
    assert "KeyError at test_transport.py" in notice["where"]
    assert "MARKERCONTENT" not in server.out.getvalue()


CUTS = {
    "after request headers": 1,
    "after request body": 2,
    "after response headers": 3,
    "in the response body": 4,
}


@pytest.mark.parametrize("count", CUTS.values(), ids=CUTS)
def test_a_cancelled_exchange_is_logged_as_cut(server: Server, channel: grpc.Channel, count: int) -> None:
    call = Call(channel)
    opening = request_headers()
    messages = [opening, request_body(), response_headers(), response_body(ANSWER[:10], end=False)][:count]
    for number, each in enumerate(messages):
        call.send(each)
        if number < 2:
            call.next()
    time.sleep(0)
    call.call.cancel()
    call.half_close()
    request_id = opening.request_headers.headers.headers[-1].raw_value.decode()
    line = server.wait_for(event="exchange", request_id=request_id)
    assert (line["end"], line["status"]) == ("cut", 0)
    assert len([each for each in server.lines() if each.get("request_id") == request_id]) == 1


@pytest.mark.parametrize("text", ["xyzzy", "fine"])
def test_what_follows_the_last_message_is_ignored(channel: grpc.Channel, text: str) -> None:
    """Envoy was seen to send a body again, or trailers, after their end."""
    call = Call(channel)
    call.ask(request_headers())
    answer = call.ask(request_body(text))
    if text == "xyzzy":
        assert answer.immediate_response.status.code == 400
        assert answer.immediate_response.details == "llm_blocked"
    call.send(request_body(text))
    if text == "fine":
        assert call.ask(trailers("request_trailers")).request_trailers.header_mutation.remove_headers == ["x-t"]
    call.half_close()
    unfinished = grpc.StatusCode.CANCELLED  # hung up on before the answer came: never a clean end
    assert call.end()[0] is (grpc.StatusCode.OK if text == "xyzzy" else unfinished)


def test_a_body_with_trailers_is_taken_whole(channel: grpc.Channel) -> None:
    call = Call(channel)
    call.ask(request_headers())
    assert call.ask(request_body(end=False)).WhichOneof("response") == "request_body"
    assert call.ask(trailers("request_trailers")).WhichOneof("response") == "request_trailers"
    call.half_close()
    call.end()


def test_the_largest_body_fits_a_message(channel: grpc.Channel) -> None:
    call = Call(channel)
    call.ask(request_headers())
    assert call.ask(request_body("x" * (MAX_BODY - 200))).WhichOneof("response") == "request_body"
    call.half_close()
    call.end()


def test_a_message_beyond_all_limits_is_an_error(channel: grpc.Channel) -> None:
    call = Call(channel)
    call.ask(request_headers())
    call.send(request_body("x" * (MAX_BODY + (2 << 20))))
    assert call.end()[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_many_streams_at_once(channel: grpc.Channel) -> None:
    calls = [Call(channel) for _ in range(50)]
    for number, call in enumerate(calls):
        call.send(request_headers())
        call.send(request_body(f"I am number-{number} {SECRET}"))
    for number, call in enumerate(calls):
        call.next()
        body = call.next().request_body.response.body_mutation.body
        assert json.loads(body)["messages"][0]["content"] == f"I am number-{number} [email]"
        call.half_close()
    for call in calls:
        call.end()


def test_other_methods_and_services(channel: grpc.Channel) -> None:
    for path in (f"/{SERVICE}/Other", "/other.Service/Process"):
        call = channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=5)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


# health, socket, life


@pytest.mark.parametrize("name", ["", SERVICE])
def test_health(channel: grpc.Channel, name: str) -> None:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_something_else(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="x"), timeout=5)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_socket_is_for_its_owner_alone(server: Server) -> None:
    assert server.socket.is_socket()
    assert server.socket.stat().st_mode & 0o777 == 0o600


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    bound(tmp_path / "w.sock").close()  # as if killed: the socket stays
    assert (tmp_path / "w.sock").is_socket()
    second = Server(tmp_path / "w.sock")
    with grpc.insecure_channel(f"unix:{second.socket}") as opened:
        Call(opened).ask(request_headers())
    second.run(second.transport.stop(0))
    second.close()


def test_a_file_in_the_way_is_not_removed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.sock"
    path.write_text("precious")
    with pytest.raises(StartupError):
        Server(path, kind)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("messages", [1, 2, 3, 4])
def test_a_stopping_service_fails_what_it_has_not_finished(tmp_path: Path, kind: str, messages: int) -> None:
    """A clean end would be a licence to pass the rest raw (see tests/e2e/test_structural.py)."""
    server = Server(tmp_path / "w.sock", kind)
    with grpc.insecure_channel(f"unix:{server.socket}") as opened:
        call = Call(opened)
        sent = [request_headers(), request_body(), response_headers(), response_body(ANSWER[:10], end=False)][:messages]
        for number, each in enumerate(sent):
            call.send(each)
            if number < 2:
                call.next()
        server.run(server.transport.stop(0.1))
        code, _ = call.end()
        assert code is not grpc.StatusCode.OK
    server.close()


def test_a_stopping_service_lets_a_running_exchange_end(tmp_path: Path, kind: str) -> None:
    server = Server(tmp_path / "w.sock", kind)
    with grpc.insecure_channel(f"unix:{server.socket}") as opened:
        call = decided(opened)
        stopping = asyncio.run_coroutine_threadsafe(server.transport.stop(10), server.loop)
        call.send(response_headers())
        call.send(response_body(ANSWER))
        assert call.next().WhichOneof("response") == "response_headers"
        assert b"[email]" in call.next().response_body.response.body_mutation.streamed_response.body
        call.half_close()
        assert call.end() == (grpc.StatusCode.OK, "")
        stopping.result(10)
    server.close()
