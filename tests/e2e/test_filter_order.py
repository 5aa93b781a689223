"""Where other filters of Envoy's may stand: what docs/envoy-versions.md says of each order, run on the installed Envoy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import _case
from tests.e2e.foreign import Foreign
from tests.e2e.gateway import Running
from tests.e2e.harness import Start
from tests.e2e.mixture import understood
from tests.e2e.onlooker import Onlooker, cluster
from tests.e2e.orders import CHAINS, HOLDING, LOSING, STREAMING, WRONG, token
from tests.e2e.tongues import TONGUES
from tests.e2e.upstream import OPENING, Gate, Upstream, chunked, completion, event, events, gzipped, respond
from tests.e2e.versions import Chained, start_version

SECRET = "jane.doe@example.com"
CUT = ("Ask jane.d", "oe@exam", "ple", ".com now")
FIRST = b"All is well"
HELD = 1.5
"""Seconds in which nothing comes of a stream that is held: as long as it is not over, nothing ever would."""


@pytest.fixture(scope="module")
def gateway(start: Start, foreign: dict[str, Foreign], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One listener for each order."""
    onlooker = Onlooker(tmp_path_factory.mktemp("onlooker") / "o.sock")
    running = start_version(start, foreign, "installed", chains=CHAINS, clusters=[cluster(onlooker.path)])
    yield running
    running.stop()
    onlooker.stop()


@pytest.fixture
def case(gateway: Running, upstreams: dict[str, Upstream]) -> Iterator[Chained]:
    for each in _case(gateway, upstreams, "plain", Chained):
        each.headers = {"x-token": token(), "accept-encoding": "gzip"}
        yield each


@pytest.mark.parametrize("chain", sorted(CHAINS.keys() - WRONG))
def test_ours_inspects_everything(case: Chained, chain: str) -> None:
    """In whatever order: the request is redacted before it leaves, and both kinds of answers before they come."""
    case.chain = chain
    case.on(respond(200, completion(f"Ask {SECRET}.")), chunked(200, events(*CUT)))
    whole, stream = (case.post(f"I am {SECRET}", stream=each, headers=case.headers) for each in (False, True))
    if chain in LOSING:
        assert b"jane" not in whole.content + stream.content
    else:
        assert understood(whole, TONGUES["chat"], stream=False).text == "Ask [email]."
        assert understood(stream, TONGUES["chat"], stream=True).text == "Ask [email] now"
    assert [each.json()["messages"][0]["content"] for each in case.received()] == ["I am [email]"] * 2
    coding = "gzip" if chain == "before-compressor" else None
    assert {each.headers.get("content-encoding") for each in (whole, stream)} == {coding}


@pytest.mark.parametrize("chain", sorted(CHAINS.keys() - WRONG - LOSING))
def test_answers_stream_or_are_held(case: Chained, chain: str) -> None:
    """A filter that wants whole bodies makes a stream come all at once, before ours and after."""
    case.chain = chain
    gate = Gate()
    # a long one: the compressor does not write at every event
    opening = [OPENING, event({"content": f"{FIRST.decode()}. " * 20})]
    case.on(chunked(200, [*opening, gate, *events(*CUT)[1:]]))
    with case.connect() as sock:
        body = json.dumps(case.body(stream=True)).encode()
        lines = (f"x-token: {token()}", "content-type: application/json", f"content-length: {len(body)}")
        sock.sendall(case.head(*lines, "connection: close") + body)
        seen = b""
        if chain in HOLDING:
            assert gate.reached.wait(20)
            sock.settimeout(HELD)
            with pytest.raises(TimeoutError):
                sock.recv(65536)
        else:
            while FIRST not in seen:
                seen += sock.recv(65536)
        sock.settimeout(20)
        gate.open()
        while data := sock.recv(65536):
            seen += data
    assert b"[email] now" in seen or (b"Ask " in seen and b"[email]" in seen)
    assert b"jane" not in seen


def test_a_token_is_not_seen_behind_ours(case: Chained) -> None:
    """The client's credentials end at ours: who asks for them later refuses everybody."""
    case.chain = "after-jwt"
    assert case.post(headers=case.headers).status_code == 401
    case.nothing_sent()


def test_a_token_is_checked_before_ours(case: Chained, gateway: Running) -> None:
    case.chain = "before-jwt"
    assert case.post(headers={"x-token": "not.a.token"}).status_code == 401
    assert case.post().status_code == 401
    case.nothing_sent()
    assert not [line for line in gateway.lines() if line.get("request_id") == case.id], "ours was not even asked"


@pytest.mark.parametrize(("chain", "status"), [("before-rbac", 403), ("after-rbac", 200)])
def test_a_rule_about_the_clients_headers_is_silent_behind_ours(case: Chained, chain: str, status: int) -> None:
    """What the provider need not know is gone by then: a rule that denies finds nothing to deny."""
    case.chain = chain
    assert case.post(headers={"x-denied": "yes"}).status_code == status


def test_the_compressor_behind_ours_never_compresses(case: Chained) -> None:
    case.chain = "after-compressor"
    body = completion("Hello. " * 1000)
    case.on(respond(200, body))
    answer = case.post(headers={"accept-encoding": "gzip"})
    assert answer.content == body
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("chain", ["plain", "before-decompressor"])
def test_compressed_answers_without_help(case: Chained, chain: str) -> None:
    case.chain = chain
    case.on(gzipped(completion(f"Ask {SECRET}.")))
    answer = case.post()
    assert answer.json()["choices"][0]["message"]["content"] == "Ask [email]."


def test_the_decompressor_behind_ours_hangs(gateway: Running, upstreams: dict[str, Upstream]) -> None:
    """It asks providers for compressed answers, which ours told not to compress; and what they send never comes."""
    case = Chained(gateway, upstreams, tls=False)
    case.chain = "after-decompressor"
    case.on(gzipped(completion(f"Ask {SECRET}.")))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{case.base}/v1/chat/completions", json=case.body(), headers={"x-request-id": case.id}, timeout=3)
    assert case.one().header("accept-encoding") == "identity,gzip"


def test_the_decompressor_before_ours_shortens_what_is_cut_off(case: Chained) -> None:
    """A request whose compressed bytes end early: by itself ours refuses it; behind the decompressor nobody notices."""
    body = json.dumps(case.body("Hello " * 1000)).encode()
    cut = gzip.compress(body + b" " * 5000)[:-8]  # without checksum and length
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert case.post(content=cut, headers=headers).status_code == 400
    case.nothing_sent()
    case.chain = "before-decompressor"
    assert case.post(content=cut, headers=headers).status_code == 200


@pytest.mark.parametrize("chain", STREAMING)
def test_large_requests_beside_others(case: Chained, chain: str) -> None:
    case.chain = chain
    text = "x" * (5 << 20)
    assert case.post(f"{SECRET} {text}", headers=case.headers).status_code == 200
    assert case.one().json()["messages"][0]["content"] == f"[email] {text}"
