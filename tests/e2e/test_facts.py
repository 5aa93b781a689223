"""What the product stands on: how Envoy behaves, seen through the product. See also test_structural.py."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest

from tests.e2e.harness import MAX_BODY, Case, Start, eventually, read_answer
from tests.e2e.upstream import DONE, OPENING, Gate, chunked, completion, event, held, respond


def test_ending_early_resets_the_provider_and_ends_the_client_cleanly(plain_case: Case) -> None:
    gate = Gate()
    plain_case.on(chunked(200, [OPENING, event({"content": "Hello. "}), event({"content": "xyzzy now"}), gate, DONE]))
    body = json.dumps(plain_case.body(stream=True)).encode()
    with plain_case.connect() as sock:
        sock.sendall(plain_case.head("content-type: application/json", f"content-length: {len(body)}") + body)
        answer = read_answer(sock)
        assert (answer.status, answer.cut) == (200, False)
        assert answer.content.endswith(b"data: [DONE]\n\n")
        assert plain_case.one().ended.wait(5)
        gate.open()
        # and the client's connection is still good
        other = json.dumps(plain_case.body("xyzzy")).encode()
        sock.sendall(plain_case.head("content-type: application/json", f"content-length: {len(other)}") + other)
        assert read_answer(sock).status == 400


def test_response_headers_wait_for_the_verdict(case: Case) -> None:
    """The reply to the response headers may come after body has been read: nothing has reached the client before."""
    gate = Gate()
    case.on(
        chunked(
            200,
            [completion("all is well")[:40], gate, completion("all is well")[40:]],
            [("content-type", "application/json")],
        )
    )
    body = json.dumps(case.body()).encode()
    with case.connect() as sock:
        sock.sendall(case.head("content-type: application/json", f"content-length: {len(body)}") + body)
        assert gate.reached.wait(5)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(10)
        gate.open()
        assert read_answer(sock).content == completion("all is well")


def test_an_answer_may_take_longer_than_a_message(start: Start, upstreams: dict[str, Any]) -> None:
    """message_timeout is for the processor's own answers; while a model thinks it is not running."""
    gateway = start("impatient", processor={"message_timeout": "300ms"})
    case = Case(gateway, upstreams, tls=False)
    gate = Gate()
    case.on(held(gate, chunked(200, [OPENING, gate, event({"content": "at last"}), event({}, "stop"), DONE])))
    body = json.dumps(case.body(stream=True)).encode()
    with case.connect() as sock:
        sock.sendall(case.head("content-type: application/json", f"content-length: {len(body)}") + body)
        assert gate.reached.wait(5)
        sock.settimeout(0.8)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(10)
        gate.open()
        answer = read_answer(sock)
    assert (answer.status, b"at last" in answer.content) == (200, True)


def test_local_replies_are_known_by_their_details(case: Case) -> None:
    """503 of Envoy's own and 503 of a provider are told apart, whatever the bodies say."""
    case.on(respond(503, b'{"error": {"message": "mine", "code": "theirs"}}'))
    assert case.post().json()["error"]["message"] == "mine"
    assert case.post(model="gone").json()["error"]["code"] == "unavailable"
    line = case.gateway.wait_for(lambda each: each.get("request_id") == case.id and each.get("error") == "unavailable")
    assert line["upstream_status"] == 503


def test_too_large_while_the_body_is_pending(case: Case) -> None:
    """The 413 comes before the end of the body, and in the client's format."""
    with case.connect() as sock:
        sock.sendall(case.head("content-type: application/json", f"content-length: {4 * MAX_BODY}"))
        sent = 0
        try:
            while sent < 3 * MAX_BODY:
                sent += sock.send(b" " * 65536)
        except (ConnectionError, OSError):
            pass
        answer = read_answer(sock)
    if answer.status:  # else the reset overtook it, as TCP may
        assert (answer.status, answer.json()["error"]["code"]) == (413, "too_large")
    case.nothing_sent()
    line = case.log()
    assert (line["error"], line["status"]) == ("too_large", 413)


@pytest.mark.parametrize("tls", [True, False])
def test_http2_streams_share_a_connection(tls_case: Case, tls: bool) -> None:
    """Two requests on one HTTP/2 connection, one reset: the other is not hurt. Without TLS by prior knowledge."""
    case = Case(tls_case.gateway, tls_case.upstreams, tls=tls)
    gate = Gate()
    case.on(chunked(200, [OPENING, event({"content": "Hello there, you "}), gate, event({"content": "again"}), DONE]))
    context = case.context()
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection(("127.0.0.1", case.gateway.port(tls=tls)), timeout=10)
    with context.wrap_socket(raw, server_hostname="localhost") if tls else raw as sock:
        client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        client.initiate_connection()
        body = json.dumps(case.body(stream=True)).encode()
        for stream in (1, 3):
            client.send_headers(stream, [
                (":method", "POST"), (":path", "/v1/chat/completions"), (":authority", "localhost"),
                (":scheme", "https" if tls else "http"), ("content-type", "application/json"), ("x-request-id", case.id),
            ])  # fmt: skip
            client.send_data(stream, body, end_stream=True)
        sock.sendall(client.data_to_send())
        got: dict[int, bytes] = {1: b"", 3: b""}
        ended: set[int] = set()
        reset = False
        while 3 not in ended:
            for each in client.receive_data(sock.recv(65536)):
                if isinstance(each, h2.events.DataReceived):
                    got[each.stream_id] += each.data
                elif isinstance(each, h2.events.StreamEnded):
                    ended.add(each.stream_id)
            if not reset and all(b"Hello" in each for each in got.values()):
                client.reset_stream(1)
                sock.sendall(client.data_to_send())
                eventually(lambda: any(each.ended.is_set() for each in case.received()))
                reset = True
                gate.open()
    assert b"again" in got[3]
    assert b"again" not in got[1]
    assert sorted(each.ended.is_set() for each in case.received()) == [False, True]
    found = eventually(lambda: [e["end"] for e in case.gateway.lines() if e.get("request_id") == case.id][1:] and True)
    assert found
    assert sorted(e["end"] for e in case.gateway.lines() if e.get("request_id") == case.id) == ["complete", "cut"]


def test_half_close_is_a_disconnect(plain_case: Case) -> None:
    gate = Gate()
    plain_case.on(chunked(200, [OPENING, event({"content": "Hello there, you "}), gate, DONE]))
    body = json.dumps(plain_case.body(stream=True)).encode()
    with plain_case.connect() as sock:
        sock.sendall(plain_case.head("content-type: application/json", f"content-length: {len(body)}") + body)
        assert gate.reached.wait(5)
        sock.shutdown(socket.SHUT_WR)
        assert plain_case.one().ended.wait(5)
    gate.open()
    assert plain_case.log()["end"] == "cut"


def test_the_processor_is_for_its_owner_alone(plain_case: Case) -> None:
    """The socket Envoy reaches the processor by, in a folder of its own."""
    found = [each for each in plain_case.gateway.run.rglob("*.sock") if each.is_socket()]
    assert "w0.sock" in {each.name for each in found}
    assert {each.stat().st_mode & 0o777 for each in found} == {0o600}
    assert plain_case.gateway.run.stat().st_mode & 0o777 == 0o700


def test_the_admin_interface_is_on_loopback(plain_case: Case) -> None:
    assert plain_case.gateway.admin.startswith("127.0.0.1:")


def test_the_plain_port_is_on_loopback(plain_case: Case) -> None:
    answer = httpx.get(f"http://{plain_case.gateway.admin}/listeners?format=json", timeout=5, trust_env=False)
    found = {
        each["name"]: each["local_address"]["socket_address"]["address"] for each in answer.json()["listener_statuses"]
    }
    assert found["plain"] == "127.0.0.1"


def test_stopping_leaves_nothing(start: Start, upstreams: dict[str, Any]) -> None:
    gateway = start("short")
    case = Case(gateway, upstreams, tls=False)
    assert case.post().status_code == 200
    case.close()
    begun = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - begun < 15
    assert not gateway.run.exists()
    assert refuses(gateway.port(tls=False))
    assert "Traceback" not in gateway.errors()


def test_a_killed_gateway_leaves_no_envoy(start: Start) -> None:
    """Envoy goes with its parent, so nothing unguarded stays behind."""
    gateway = start("killed")
    gateway.signal(signal.SIGKILL)
    assert eventually(lambda: refuses(gateway.port(tls=False)))
    assert Path(gateway.folder, "access.txt").exists()


def test_running_answers_are_not_cut_by_a_stop(start: Start, upstreams: dict[str, Any]) -> None:
    """SIGTERM lets a running answer end."""
    gateway = start("graceful", gateway={"drain": "20s"})
    case = Case(gateway, upstreams, tls=False)
    gate = Gate()
    case.on(chunked(200, [OPENING, event({"content": "Hello there, you "}), gate, event({"content": "again"}), DONE]))
    body = json.dumps(case.body(stream=True)).encode()
    with case.connect() as sock:
        sock.sendall(case.head("content-type: application/json", f"content-length: {len(body)}") + body)
        assert gate.reached.wait(5)
        gateway.signal(signal.SIGTERM)
        eventually(lambda: refuses(gateway.port(tls=False)))
        gate.open()
        answer = read_answer(sock)
    assert not answer.cut
    assert b"again" in answer.content
    assert case.log()["end"] == "complete"
    assert gateway.stop() == 0


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False
