"""A marked request is answered by the filter itself, with a proof, and never goes on; the shadow only notes it."""

import hashlib

import orjson
import pytest

from extproc import events
from extproc.events import Respond
from extproc.exchange.attest import MARK, proof, seen
from extproc.exchange.guarding import GuardExchange
from extproc.exchange.router import RouterExchange
from extproc.exchange.shadow import ShadowExchange
from extproc.metrics import Counters
from tests.unit.exchange.support import answer_headers, chat_headers, runtime

NONCE = "abcdefghijklmnop_-19"
KINDS = [(RouterExchange, "gateway"), (GuardExchange, "guard")]


def asked(kind, headers):
    exchange = kind(runtime())
    (effect,) = exchange.receive(headers)
    assert isinstance(effect, Respond)
    assert exchange.answered, "the exchange is over"
    return effect, exchange.finish()


@pytest.mark.parametrize(
    "changes",
    [
        {}, {":path": "/health/liveness"}, {":path": "/no/such/path"}, {":method": "GET"}, {":method": "OPTIONS"},
        {"upgrade": "websocket"}, {"content-type": "text/plain"}, {"content-encoding": "br"},
        {"authorization": "Bearer a, Bearer b"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_it_is_answered_whatever_else_is_wrong_with_it(kind, mode, changes, end):
    effect, record = asked(kind, chat_headers(end, **{**changes, MARK: NONCE}))
    assert effect.status == 200
    generation = runtime().generation
    told = {"attached": True, "mode": mode, "generation": generation, "proof": proof(NONCE, mode)}
    assert orjson.loads(effect.body) == told
    assert (record.operation, record.status, record.end, record.mode) == ("attest", 200, "complete", mode)
    assert record.attested == seen(NONCE)


@pytest.mark.parametrize("nonce", ["", "short", "a" * 129, "with blank in the middle", "a" * 16 + ",b", "a" * 15 + "é"])
@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_a_mark_that_is_none_does_not_go_on_either(kind, mode, nonce):
    effect, record = asked(kind, chat_headers(**{MARK: nonce}))
    assert effect.status == 400
    assert b"bad_attestation" in effect.body
    assert not nonce or nonce.encode() not in effect.body
    assert (record.end, record.attested, record.mode) == ("refused", "", mode)


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_whatever_follows_is_ignored(kind, mode):
    exchange = kind(runtime())
    exchange.receive(chat_headers(**{MARK: NONCE}))
    assert exchange.receive(events.RequestBody(b"{}", True)) == []


@pytest.mark.parametrize(("nonce", "noted"), [(NONCE, [(seen(NONCE), "shadow")]), ("short", [])])
def test_the_shadow_says_nothing_and_notes_it(nonce, noted):
    exchange = ShadowExchange(runtime())
    for event in (
        chat_headers(**{MARK: nonce}),
        events.RequestBody(b"{}", True),
        answer_headers(status=400),
        events.ResponseBody(b"{}", True),
    ):
        assert exchange.receive(event) in ([], [events.Close()])
    record = exchange.finish()
    assert (record.mode, record.operation) == ("shadow", "attest")
    counters = Counters()
    counters.exchange(record)
    assert counters.attested() == noted


def test_a_proof_is_of_one_word_and_one_mode():
    """The fixed form, so that probes and filters of different versions understand each other."""
    wanted = hashlib.sha256(b"llm-extproc attest proof\0" + NONCE.encode() + b"\0gateway").hexdigest()
    assert proof(NONCE, "gateway") == wanted
    assert len({proof(NONCE, "gateway"), proof(NONCE, "guard"), proof(NONCE + "x", "gateway"), seen(NONCE)}) == 4
    assert seen(NONCE) == hashlib.sha256(b"llm-extproc attest seen\0" + NONCE.encode()).hexdigest()
